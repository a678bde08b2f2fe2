import sys

from fake_service import serve

serve("bank", int(sys.argv[-1].removeprefix("--port=")))
