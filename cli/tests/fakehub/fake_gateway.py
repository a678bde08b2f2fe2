import os

from fake_service import serve

serve("gateway", int(os.environ["GATEWAY_PORT"]))
