"""BigDataViewer: its XML, the layout of views in N5 and HDF5, and how one leads to the other. No I/O."""
