"""Lets `python -m vidrestore` stand for the `vidrestore` command."""

from vidrestore.cli import main

if __name__ == "__main__":
    main()
