"""The express lane: forwarded requests that need nothing of the application are answered on their connection."""
