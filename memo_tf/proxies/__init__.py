"""Proxies: cheap scores that might follow memorization.

    from memo_tf import proxies
    proxy = proxies.PROXIES["area_under_margin"]
    values, never = proxies.evaluate(proxy, outputs)

Module `table` lists all of them; their functions are in one file per family.
"""

from memo_tf.proxies import settings
from memo_tf.proxies import windows
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
  "windows",
  "with_never",
]
