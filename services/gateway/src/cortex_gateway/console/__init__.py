"""The web console at `/`: pages without a build step, served with a nonce of their own."""
