import os

from fake_service import serve

serve("analytics", int(os.environ["ANALYTICS_PORT"]))
