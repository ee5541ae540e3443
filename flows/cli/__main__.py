"""`python -m flows.cli` is the command `marquee`."""

from flows.cli import app

if __name__ == "__main__":  # a process that multiprocessing starts imports this module again
    app()
