"""What is made of the Helm chart, and what the chart is made from: `make render` writes it, tests hold it."""
