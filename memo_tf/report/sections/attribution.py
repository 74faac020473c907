"""Do attributions that a user gave predict what the runs do?"""

from memo_tf.findings import attribution
from memo_tf.report import material
from memo_tf.report import names
from memo_tf.report.sections import section


def make(study: material.Material) -> section.Section | None:
  """One part per attribution; None if none was judged."""
  parts = []
  for (group, name), table in attribution.read(study.directory).items():
    parts.append(
      {
        "name": name,
        "model": names.model(group.model),
        "recipe": names.recipe(group.recipe),
        "sentences": () if table is None else attribution.sentences(table),
        "rows": () if table is None else table.to_dict("records"),
        "folder": f"findings/attribution/{'/'.join(group)}/",
      }
    )
  if not parts:
    return None
  return section.Section(
    name="attribution",
    title="Attributions judged by these runs",
    short="Attribution",
    content={"parts": parts},
  )
