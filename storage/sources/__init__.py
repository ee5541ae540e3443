"""Readers of other people's data: ratings and items, and metadata about items.

`movielens` reads MovieLens releases, `generic` reads ratings of any domain, `metadata` reads files about movies, `web` asks
services about movies, and `sample` generates data. The modules beside these folders are shared by several of them.
"""
