"""The page at `/`: chat, adapters and JSON Schema in a browser. Static files on the public API."""
