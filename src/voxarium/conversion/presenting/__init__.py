"""Presenting an image as another format without storing it: a store whose objects are made when they are asked for."""

from voxarium.conversion.presenting.store import PresentedStore, present

__all__ = ["PresentedStore", "present"]
