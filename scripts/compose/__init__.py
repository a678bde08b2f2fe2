"""What looks after docker-compose.yml: rules it has to keep, and a project of its own to try it with."""
