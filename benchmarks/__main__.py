"""`python -m benchmarks`: as `lora-agent bench`."""

from lora_agent.cli.main import main

if __name__ == "__main__":
    import sys

    main(["bench", *sys.argv[1:]])
