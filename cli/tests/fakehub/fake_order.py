import os

from fake_service import serve

serve("order", int(os.environ["ORDER_PORT"]))
