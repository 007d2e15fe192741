"""`python -m standout` is the command `standout`."""

from standout.cli import run

if __name__ == "__main__":
    run()
