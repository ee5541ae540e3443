"""Search for the items nearest to vectors, exact or approximate, behind one interface: `VectorIndex.search`."""
