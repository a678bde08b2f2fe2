"""The programs under test: ours and the peers', the same application in each. They run alone, on a CPU of their own."""
