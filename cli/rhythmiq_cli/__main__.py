"""`python -m rhythmiq_cli`."""

from __future__ import annotations

from rhythmiq_cli.app import main

if __name__ == "__main__":
    main()
