"""What goes over the wire: requests that refuse unknown fields, responses in OpenAI's shape. Knows no engine."""
