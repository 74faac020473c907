"""Custom proxies, from Parquet files (`--proxy_files`).

    example_id   0 … N - 1, each once (or once per model)
    model        optional: the model of the row's values; default: every model
    <name>       float, any number of columns: one proxy per column
    <name>_known bool, optional: False where the proxy has no value (NaN there)

A proxy is unsigned unless the file says which way it points, in pandas'
attributes: `frame.attrs["sign"] = {"my_proxy": 1}` before `to_parquet`; 1 if
larger should mean more memorized, -1 if less.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
import re

import numpy as np
import pandas as pd

from memo_tf import proxies

_NAME = re.compile(r"[A-Za-z]\w*")
_KNOWN = "_known"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnProxy:
  """One column of a file.

  Attributes:
    name: of the column.
    sign: 1, -1, or None if unsigned.
    values: float64 `[N]` by model, NaN where there is none; the key None is
      for every model.
  """

  name: str
  sign: int | None
  values: dict[str | None, np.ndarray]

  def of_model(self, model: str) -> np.ndarray | None:
    """The values `[N]` for a model, or None if the file has none."""
    return self.values.get(model, self.values.get(None))


def read(
  paths: Sequence[str], num_train: int, models: Sequence[str]
) -> list[OwnProxy]:
  """The proxies of all files.

  Args:
    paths: of Parquet files.
    num_train: N.
    models: of the study.

  Raises:
    ValueError: names file and column, and says what is wrong.
  """
  found: dict[str, OwnProxy] = {}
  for path in paths:
    for own in _read_file(path, num_train, models):
      if own.name in found:
        raise ValueError(
          f"--proxy_files: {path} has a proxy {own.name!r}, which another file "
          "has too: rename one"
        )
      found[own.name] = own
  return list(found.values())


# Over 60 lines: one check of the file after another, each with its message.
def _read_file(path: str, num_train: int, models) -> list[OwnProxy]:
  def refuse(text: str):
    raise ValueError(f"--proxy_files: {path} {text}")

  if not pathlib.Path(path).is_file():
    refuse("is not a file")
  try:
    frame = pd.read_parquet(path)
  # pandas reads its own metadata in the file, and trusts it.
  except Exception as error:
    refuse(f"cannot be read as Parquet ({' '.join(str(error).split())})")
  if "example_id" not in frame:
    columns = ", ".join(map(str, frame.columns))
    refuse(f"has no column example_id. Received: {columns or 'no columns'}")
  names = [
    c
    for c in frame.columns
    if c not in ("example_id", "model")
    and not (c.endswith(_KNOWN) and c.removesuffix(_KNOWN) in frame)
  ]
  if not names:
    refuse("has no column besides example_id: add one column per proxy")
  parts: dict[str | None, pd.DataFrame] = {None: frame}
  if "model" in frame:
    # As text: a missing name is then unknown, and not left out.
    models_of = frame["model"].map(str)
    parts = {str(key): part for key, part in frame.groupby(models_of)}
    unknown = sorted({str(key) for key in parts} - set(models))
    if unknown:
      refuse(
        f"has values for a model that is not in this study: {unknown[0]!r}. "
        f"Its models: {', '.join(models)}"
      )
  for model, part in parts.items():
    of = f" for model {model}" if model else ""
    ids = part["example_id"]
    is_whole = ids.dtype.kind in "iu"
    if not is_whole or not np.array_equal(
      np.sort(ids.to_numpy()), np.arange(num_train)
    ):
      refuse(
        f"must have each example_id from 0 to {num_train - 1} once{of}, as "
        f"integers. Received: {len(ids)} rows of {ids.dtype}"
        + (f", {ids.nunique()} different ids" if is_whole else "")
      )
  signs = frame.attrs.get("sign", {})
  if not isinstance(signs, dict):
    refuse(f"gives the sign {str(signs)[:40]!r}: it must be an object")
  result = []
  for name in names:
    if not _NAME.fullmatch(name) or name in proxies.PROXIES:
      refuse(
        f"has a column {name!r}: a proxy's name must be letters, digits and _, "
        "and not that of a built-in proxy"
      )
    sign = signs.get(name)
    if not isinstance(sign, int | None) or sign not in (1, -1, None):
      refuse(f"gives {name!r} the sign {sign!r}: it must be 1 or -1")
    values = {
      model: _column(part.sort_values("example_id"), name, refuse)
      for model, part in parts.items()
    }
    result.append(OwnProxy(name=name, sign=sign, values=values))
  return result


def _column(part: pd.DataFrame, name: str, refuse) -> np.ndarray:
  """A column as float64 `[N]`, NaN only where `<name>_known` is False."""
  if part[name].dtype.kind not in "iufb":
    refuse(f"has a column {name!r} of {part[name].dtype}: it must be numeric")
  values = part[name].to_numpy(np.float64)
  known = np.ones(len(values), bool)
  if name + _KNOWN in part:
    if part[name + _KNOWN].dtype != bool:
      refuse(f"has a column {name + _KNOWN!r} that is not bool")
    known = part[name + _KNOWN].to_numpy()
  if not np.isfinite(values[known]).all():
    refuse(
      f"has {int((~np.isfinite(values[known])).sum())} values of {name!r} that "
      f"are NaN or infinite: mark missing values as False in a bool column "
      f"{name + _KNOWN!r}"
    )
  if not known.any():
    refuse(f"has no values of {name!r}")
  return np.where(known, values, np.nan)
