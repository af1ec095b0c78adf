"""Ed25519 keys that sign: in files that only their owner may read, or in the user's keyring.

A private key is a PEM file (PKCS #8) `NAME.pem` with mode 0600, beside `NAME.pub`, the line that others need to check
signatures. The folder is ``$VOXARIUM_KEYS``, or ``voxarium/keys`` in the user's configuration. If
``$VOXARIUM_KEY_PASSPHRASE`` is set, files are encrypted with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.spec.transparency_log import NoteSignature, PublicKey, dump_public_key, parse_public_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "SigningKey",
    "create_key",
    "key_folder",
    "known_keys",
    "open_key",
    "public_key",
    "remember_checkpoint",
    "remembered_checkpoints",
    "verify_signature",
]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_LOG: Final = re.compile(r"[0-9a-f]{32}")
_SERVICE: Final = "voxarium"
_MOST_BYTES: Final = 16 << 10


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its name. Its text form shows nothing of it."""

    name: str
    _private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    @property
    def public(self) -> PublicKey:
        """What others need to check signatures."""
        return PublicKey(self.name, self._private.public_key().public_bytes_raw())

    def sign(self, text: str) -> NoteSignature:
        """Sign the text of a note."""
        return NoteSignature(self.name, self.public.key_id, self._private.sign(text.encode()))


def verify_signature(key: PublicKey, signature: NoteSignature, text: str) -> bool:
    """Tell whether a signature over a text is that of a key."""
    ed25519 = _ed25519()
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.raw).verify(signature.signature, text.encode())
    except _invalid_signature():
        return False
    return True


# ------------------------------------------------------------------------------------------------- making and finding
def key_folder() -> Path:
    """Return the folder of keys; it need not exist."""
    given = os.environ.get("VOXARIUM_KEYS")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "voxarium" / "keys"


def create_key(name: str, *, folder: Path | None = None, in_keyring: bool = False) -> PublicKey:
    """Make a key.

    Parameters
    ----------
    name : str
        Stands in every signature: letters, digits and ``. _ @ -``.
    folder : Path or None
        Where its files go; None: the user's.
    in_keyring : bool
        Keep the private key in the keyring of the system instead; only the public one gets a file.

    Raises
    ------
    ExistsError
        If there is a key of this name.
    """
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"{name!r} is no name of a key",
            code=Code.ARGUMENT_INVALID,
            fix="use letters, digits and . _ @ -, such as lab.example.org",
        )
    folder = folder or key_folder()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    if private.exists() or public.exists() or (in_keyring and _from_keyring(name) is not None):
        raise ExistsError(
            f"there is a key {name} in {folder}",
            code=Code.TARGET_EXISTS,
            fix="choose another name; whoever replaces a key cannot be believed about the old one's signatures",
        )
    key = SigningKey(name, _ed25519().Ed25519PrivateKey.generate())
    _write_file(public, (dump_public_key(key.public) + "\n").encode(), 0o644)
    try:
        if in_keyring:
            _keyring().set_password(_SERVICE, name, _pem(key).decode())
        else:
            _write_file(private, _pem(key), 0o600)
    except BaseException:
        public.unlink(missing_ok=True)
        raise
    return key.public


def open_key(name: str, *, folder: Path | None = None) -> SigningKey:
    """Open a private key by its name, or by the path of its file.

    Raises
    ------
    NotFoundError
        If there is none.
    StoreError
        If others may read its file.
    FormatError
        If the file is no Ed25519 key, or encrypted with another passphrase.
    """
    path = Path(name) if name.endswith(".pem") else (folder or key_folder()) / f"{name}.pem"
    if path.is_file():
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StoreError(
                f"others may read or change {path}",
                code=Code.STORE_PERMISSION,
                fix=f"chmod 600 {path}; if others had access, make a new key",
            )
        return _parse(path.stem, _read_file(path), str(path))
    stored = None if name.endswith(".pem") else _from_keyring(name)
    if stored is None:
        raise NotFoundError(
            f"no key {name} in {path.parent}",
            code=Code.KEY_MISSING,
            fix="make one with `voxarium key create`, or name the path of its file",
        )
    return _parse(name, stored.encode(), "the keyring")


def public_key(text: str, *, folder: Path | None = None) -> PublicKey:
    """Return a public key: from the line itself, the path of a file that holds it, or the name of a key of one's own.

    Raises
    ------
    NotFoundError
        If there is none.
    FormatError
        If it is malformed.
    """
    if "+" in text and not Path(text).is_file():
        return parse_public_key(text)
    path = Path(text) if Path(text).is_file() else (folder or key_folder()) / f"{text}.pub"
    if path.suffix == ".pem":
        return open_key(str(path)).public
    if not path.is_file():
        raise NotFoundError(
            f"no public key {text}",
            code=Code.KEY_MISSING,
            fix="give the line NAME+ID+BASE64, a file that holds it, or the name of a key of your own",
        )
    try:
        return parse_public_key(_read_file(path).decode())
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is no public key", code=Code.METADATA_INVALID, fix="give the file that ends with .pub"
        ) from error


def known_keys(folder: Path | None = None) -> list[PublicKey]:
    """Return the public halves of the user's own keys, by name."""
    found = sorted((folder or key_folder()).glob("*.pub"))
    return [public_key(str(path)) for path in found]


# -------------------------------------------------------------------------------------------- what was signed before
def remember_checkpoint(log: str, note: bytes) -> None:
    """Keep a checkpoint beside the keys: no key of this folder shall vouch for less of this log later.

    Parameters
    ----------
    log : str
        Id of the log.
    note : bytes
        The signed checkpoint.
    """
    path = _remembered_path(log)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_file(partial, note, 0o644)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"{path} could not be written: {error.strerror}",
            code=Code.STORE_UNWRITABLE,
            fix="check the folder, or name another with VOXARIUM_KEYS",
        ) from error


def remembered_checkpoints(log: str) -> list[tuple[str, bytes]]:
    """Return (path, document) of the last checkpoint of a log that was signed here; empty if there is none."""
    path = _remembered_path(log)
    return [(str(path), _read_file(path))] if _LOG.fullmatch(log) and path.is_file() else []


def _remembered_path(log: str) -> Path:
    return key_folder() / "checkpoints" / f"{log}.txt"


# ------------------------------------------------------------------------------------------------------------ storing
def _pem(key: SigningKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    phrase = os.environ.get("VOXARIUM_KEY_PASSPHRASE", "")
    encryption = serialization.BestAvailableEncryption(phrase.encode()) if phrase else serialization.NoEncryption()
    return key._private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _parse(name: str, data: bytes, where: str) -> SigningKey:
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    phrase = os.environ.get("VOXARIUM_KEY_PASSPHRASE", "").encode() if b"ENCRYPTED" in data else None
    try:
        private = load_pem_private_key(data, phrase)
    except Exception:  # noqa: BLE001  several kinds; their text may tell of the key
        private = None
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return SigningKey(name, private)
    raise FormatError(
        f"{where} holds no Ed25519 key that can be opened",
        code=Code.METADATA_INVALID,
        fix="check the file; an encrypted one needs VOXARIUM_KEY_PASSPHRASE",
    ) from None


def _write_file(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    except OSError as error:
        with contextlib.suppress(OSError):
            if not isinstance(error, FileExistsError):
                path.unlink(missing_ok=True)
        raise StoreError(
            f"{path} could not be written: {error.strerror}",
            code=Code.STORE_UNWRITABLE,
            fix="check the folder, or name another with VOXARIUM_KEYS",
        ) from error


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise StoreError(
            f"{path} could not be read: {error.strerror}", code=Code.STORE_PERMISSION, fix="check its permissions"
        ) from error


def _from_keyring(name: str) -> str | None:
    """Return a key of the keyring; None when it has none, or when there is no keyring."""
    try:
        keyring = _keyring()
        found: str | None = keyring.get_password(_SERVICE, name)
    except UnsupportedError:
        return None
    except Exception as error:  # noqa: BLE001  every backend has its own; their text may tell of the key
        if type(error).__name__ != "NoKeyringError":
            raise StoreError(
                f"the keyring could not be asked for {name}: {type(error).__name__}",
                code=Code.STORE_UNREADABLE,
                fix="unlock it, or keep the key in a file",
            ) from None
        return None
    return found


def _keyring() -> Any:  # Any: an optional package
    try:
        import keyring
    except ImportError as error:
        raise UnsupportedError(
            "keys of the keyring need the package keyring",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[keyring]', or keep the key in a file",
        ) from error
    return keyring


def _ed25519() -> Any:  # Any: an optional package
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UnsupportedError(
            "signatures need the package cryptography",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[archive]'",
        ) from error
    return ed25519


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature
