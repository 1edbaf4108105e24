"""The `imagesearch` command, as `python -m imagesearch_cli`."""

from imagesearch_cli.main import main

if __name__ == "__main__":
    main()
