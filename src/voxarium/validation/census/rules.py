"""What a listing of an image's objects shall show: rules CE."""

from __future__ import annotations

from typing import Final

from voxarium.model.rules import Rule, rules

__all__ = ["RULES"]

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in rules(
        """
CE-001 quality needs=nothing
    The store can be listed.
    why: What is absent, superfluous or misnamed only shows in a listing; readers take what is absent for fill value.
    mend: Check the image where it can be listed: on a file system, or with the credentials of its object store.
CE-002 quality needs=census
    Every object of an array exists.
    why: Readers take an absent object for fill value, and so would they where one was lost.
    mend: Compare with the source. Objects of nothing but fill value may be absent.
    bad: pyramid-zarr3 image/0/c/0/1/0 remove
CE-003 should needs=census
    An object of a coarser level exists only where the finer level has any.
    why: What a coarser level shows was once there in the finer one: its objects were lost, or never arrived.
    mend: Copy the finer level again from its source.
    bad: pyramid-zarr3 image/0/c/0/0/0 remove
    and: image/0/c/0/0/1 remove
    and: image/0/c/0/1/0 remove
    and: image/0/c/0/1/1 remove
    and: image/0/c/1/0/0 remove
    and: image/0/c/1/0/1 remove
    and: image/0/c/1/1/0 remove
    and: image/0/c/1/1/1 remove
CE-004 quality needs=census
    Where a finer level has objects, the coarser one has too.
    why: Viewers zoomed out show nothing there. It is right only where little of the finer objects is not fill value.
    mend: Make the coarser levels again.
    bad: pyramid-zarr3 image/1/c/0/0/0 remove
CE-005 must needs=census
    No object is of zero length.
    why: A writer was killed, or a disk was full. No codec decodes nothing.
    mend: Copy the object again from its source.
    bad: pyramid-zarr3 image/0/c/0/0/1 truncate 0
CE-006 must needs=census
    Objects have no ending of a compressor behind the name that readers ask for.
    why: A reader that asks for the plain name finds nothing and shows fill value, with no error.
    mend: Rename the objects, unpacked unless the codecs of the array are what packed them.
    bad: pyramid-zarr3 image/0/c/0/0/1 move image/0/c/0/0/1.gz
CE-007 must needs=census
    Keys of objects are spelt as the metadata says: separator, prefix and digits.
    why: A reader that asks for the name the metadata implies finds nothing and shows fill value, with no error.
    mend: Correct what the metadata says of keys, or rename the objects.
    bad: pyramid-zarr3 image/0/c/0/0/1 move image/0/c.0.0.1
CE-008 should needs=census
    Every object lies in the grid of its array.
    why: No reader looks there. The shape in the metadata is too small, or the objects are left from a larger array.
    mend: Correct the shape, or remove the objects.
    bad: pyramid-zarr3 image/0/c/0/0/1 copy image/0/c/0/0/9
CE-009 should needs=census
    Unfinished and locked objects of writers are gone.
    why: They tell of a writer that was killed: what it was about to store is absent.
    mend: Let the writer finish, or remove them and check what it wrote.
    bad: pyramid-zarr3 image/0/c/0/0/1 copy image/0/c/0/0/1.partial
CE-010 must needs=census
    Objects have a size their content can have.
    why: An object that is smaller was cut off; without compression, any other size is wrong.
    mend: Copy the object again from its source.
    bad: pyramid-zarr3-sharded image/0/c/0/0/0 truncate 9
CE-011 should needs=census
    Below an array is nothing but its documents and objects.
    why: Nothing reads it, and it is copied and paid for along with the image.
    mend: Move it elsewhere, or remove it.
    bad: pyramid-zarr3 image/0/c/0/0/1 copy image/0/c/0/0/copy-of-1
CE-012 quality needs=census
    Beside an image's arrays is nothing that its format does not know.
    why: Nothing reads it, and it is copied and paid for along with the image.
    mend: Move it elsewhere, or remove it.
    bad: pyramid-zarr3 image/0/c/0/0/1 copy image/Thumbs.db
""",
        basis="house",
    )
}
