"""The transition dataset.

`format`: what writers and readers agree on. `writer`, `dense_writer`: the compact and the dense layout. `extension`: later
ratings. `reader`: a dataset in memory. `gather`: batches out of compact arrays. `stream`: batches from a file, by
`compact_source` or `dense_source`. `splits`: held-out users and the time cut.
"""
