"""Names of colours as web pages understand them."""

from __future__ import annotations

from typing import Final

__all__ = ["WEB_COLORS", "color_name"]

WEB_COLORS: Final = {
    "white": "FFFFFF", "black": "000000", "red": "FF0000", "green": "008000", "lime": "00FF00", "blue": "0000FF",
    "cyan": "00FFFF", "magenta": "FF00FF", "yellow": "FFFF00", "orange": "FFA500", "purple": "800080", "gray": "808080",
    "silver": "C0C0C0", "maroon": "800000", "olive": "808000", "teal": "008080", "navy": "000080", "pink": "FFC0CB",
    "gold": "FFD700", "violet": "EE82EE", "indigo": "4B0082", "turquoise": "40E0D0", "salmon": "FA8072",
    "coral": "FF7F50", "tomato": "FF6347", "brown": "A52A2A", "chocolate": "D2691E", "crimson": "DC143C",
}  # fmt: skip
"""Six hexadecimal digits by name."""


def color_name(digits: str) -> str:
    """Return the web name of a colour, or its digits with a number sign.

    Examples
    --------
    >>> color_name("FFA500"), color_name("123456")
    ('orange', '#123456')
    """
    return next((name for name, value in WEB_COLORS.items() if value == digits.upper()), f"#{digits.lower()}")
