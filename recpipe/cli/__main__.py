"""``python -m recpipe.cli``: the ``recpipe`` command of this Python, where no script of that name lies beside it."""

from recpipe.cli import main

if __name__ == "__main__":
    main()
