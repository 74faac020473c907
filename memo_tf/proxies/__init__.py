"""Cheap scores that might follow memorization.

    from memo_tf import proxies
    proxy = proxies.PROXIES["area_under_margin"]
    values, never = proxies.evaluate(proxy, records)

`table.py` is the table of all; a file a family holds their functions.
"""

from memo_tf.proxies import settings
from memo_tf.proxies.proxy import average
from memo_tf.proxies.proxy import evaluate
from memo_tf.proxies.proxy import oriented
from memo_tf.proxies.proxy import Proxy
from memo_tf.proxies.proxy import with_never
from memo_tf.proxies.table import PROXIES
from memo_tf.proxies.table import RUN_OUTPUTS

__all__ = [
  "PROXIES",
  "RUN_OUTPUTS",
  "Proxy",
  "average",
  "evaluate",
  "oriented",
  "settings",
  "with_never",
]
