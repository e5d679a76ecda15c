"""`python -m qrnn_fast` is `qrnn-fast`."""

from qrnn_fast.cli import main

if __name__ == "__main__":
    main()
