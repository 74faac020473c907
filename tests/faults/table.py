"""The faults: what each is injected with, and what a user then sees.

An injection gets a `disturbed.Study`, does its harm in a real launch (or to
the files of one that ended), and returns how that launch ended. The test then
gives the same command again. docs/reliability.md shows this table.
"""

from collections.abc import Callable
import dataclasses
import os
import resource
import shutil
import signal
import time

from memo_tf.store import sealed
from tests.faults import disturbed
from tests.faults.disturbed import Ended
from tests.faults.disturbed import Study
from tests.support import made_up
from tests.support import small_study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
  """One row.

  Attributes:
    name: of the fault, an identifier.
    state: of the study before it, see `disturbed.Study`.
    tool: what it is injected with.
    inject: does it.
    code: how the disturbed launch ends.
    says: a regular expression found in what it prints.
    mend: what the user does before the same command; None: nothing.
    harms: indices of the runs that it destroys.
    is_fast: in the default suite.
    needs: `root`, `compiler` or nothing.
  """

  name: str
  state: str
  tool: str
  inject: Callable[[Study], Ended]
  code: int
  says: str
  mend: Callable[[Study], object] | None = None
  harms: tuple[int, ...] = ()
  is_fast: bool = False
  needs: str = ""


KEPT = r"Finished runs are kept"
AGAIN = r"\d+ runs: \d+ done"


def damage(change: Callable[[Study], object]) -> Callable[[Study], Ended]:
  """Changes the files of a study, then launches."""

  def inject(study: Study) -> Ended:
    change(study)
    return study.launch()

  return inject


def in_run(disturb, **options) -> Callable[[Study], Ended]:
  """Disturbs a launch in the middle of a run."""
  return lambda study: study.in_mid_run(disturb, **options)


def small_disk(where: str, size: str, **options) -> Callable[[Study], Ended]:
  """A launch whose folder `where` is a file system of `size`."""

  def inject(study: Study) -> Ended:
    study.mount(study.folder / where, size)
    return study.launch(**options)

  return inject


def larger_disk(where: str) -> Callable[[Study], None]:
  return lambda study: study.enlarge(study.folder / where)


def limited_files(size: int) -> Callable[[Study], Ended]:
  """A launch that may write no file larger than `size` bytes."""

  def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

  return lambda study: study.launch(before=limit)


def unreadable(text: str) -> Callable[[Study], Ended]:
  """A launch for which files with `text` in their path cannot be read."""
  return lambda study: study.launch(
    environment={"LD_PRELOAD": str(study.preload), "FAULT_READ": text}
  )


def site(**variables: str) -> Callable[[Study], Ended]:
  """A launch with tests/faults/site in its path."""

  def inject(study: Study) -> Ended:
    paths = f"{disturbed.HERE / 'site'}:{small_study.ROOT}"
    mark = {"FAULT_ONCE_FILE": str(study.folder.with_suffix(".once"))}
    return study.launch(environment={"PYTHONPATH": paths, **variables, **mark})

  return inject


def _ctrl_c_twice(process) -> None:
  os.killpg(process.pid, signal.SIGINT)
  time.sleep(0.05)
  if process.poll() is None:
    os.killpg(process.pid, signal.SIGINT)


def _two_launches(study: Study) -> Ended:
  both = [study.start(), study.start()]
  ends = [study.end(process) for process in both]
  return Ended(max(e.code for e in ends), "".join(e.text for e in ends))


def _second_joins(study: Study) -> Ended:
  """One of two launches is killed while both are at work."""
  first, second = study.start(), study.start()
  small_study.wait_for(
    lambda: (
      len(list((study.folder / "work").rglob("claim"))) > 1
      or second.poll() is not None
    )
  )
  disturbed.kill_all(first)
  first.communicate()
  return study.end(second)


def _clock_set_back(study: Study) -> Ended:
  study.in_mid_run(disturbed.kill_all)
  return study.launch(
    environment={
      "LD_PRELOAD": str(study.preload),
      "FAULT_CLOCK": str(400 * 86400),
    }
  )


def _little_memory(process) -> None:
  """Leaves one worker 1 MB more than it has."""
  pid = small_study.children_of(process.pid)[0]
  with open(f"/proc/{pid}/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
  limit = used + (1 << 20)
  resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def _damaged_checkpoint(change) -> Callable[[Study], Ended]:
  def inject(study: Study) -> Ended:
    study.in_mid_run(disturbed.kill_all)
    for path in (study.folder / "work").rglob("checkpoint.npz"):
      change(path)
    ended = study.launch()
    logs = (study.folder / "work").rglob("log.txt")
    return Ended(ended.code, ended.text + "".join(p.read_text() for p in logs))

  return inject


def _rights_taken_away(study: Study) -> Ended:
  for path in [study.folder, *study.folder.rglob("*")]:
    os.chown(path, 65534, 65534)

  def take(process):
    for path in (study.folder / "runs").rglob("*"):
      if path.is_dir():
        path.chmod(0o500)

  return study.in_mid_run(
    take, wrapper=disturbed.AS_NOBODY, environment={"HOME": "/tmp"}
  )


def _rights_given_back(study: Study) -> None:
  for path in (study.folder / "runs").rglob("*"):
    if path.is_dir():
      path.chmod(0o700)


def _read_only(study: Study) -> Ended:
  study.mount_read_only()
  return study.launch()


def _paused_set_up(study: Study) -> Ended:
  """Two launches with other settings, one paused while it sets the study up."""
  first = study.start()
  small_study.wait_for((study.folder / "dataset").exists)
  os.killpg(first.pid, signal.SIGSTOP)
  assert not (study.folder / "config.json").exists()
  second = study.start(label_noise=0.3)
  said = ""
  while "waiting for it" not in said and second.poll() is None:
    said += second.stdout.readline()
  os.killpg(first.pid, signal.SIGCONT)
  ends = [study.end(first), study.end(second)]
  assert ends[0].code == 0, ends[0].text
  return Ended(ends[1].code, said + ends[1].text)


def _stale_subsets(study: Study) -> Ended:
  """A set-up killed while it wrote subset shards, then other settings."""
  options = {"materialize_subsets": True}
  first = study.start(label_noise=0.3, seed=1, **options)
  small_study.wait_for((study.folder / "subsets/r0.70/00000").exists)
  disturbed.kill_all(first)
  first.communicate()
  assert not (study.folder / "config.json").exists()
  return study.launch(**options)


def _changed_digit(path) -> None:
  """Changes the first digit of the channels' mean, and keeps the time."""
  content = path.read_bytes()
  mean = content.index(b'"mean": [') + len(b'"mean": [')
  while not content[mean : mean + 1].isdigit():
    mean += 1
  disturbed.flip(path, mean)


def _other_recipe(study: Study) -> None:
  """Puts the run of a launch with other settings in a run's place."""
  path = study.run(2) / "run.json"
  record = sealed.loads(path.read_bytes())
  record["recipe"]["learning_rate"] *= 2
  record["recipe_digest"] = "0" * 32
  path.write_text(sealed.dumps(record))


def _other_version(study: Study) -> Ended:
  """A study that another TensorFlow began, and a launch that must stop."""
  path = study.folder / "environment.json"
  content = sealed.loads(path.read_bytes())
  content["history"][0]["versions"]["tensorflow"] = "2.0.0"
  path.write_text(sealed.dumps(content))
  return study.launch(on_version_change="stop")


def _doctor(study: Study) -> None:
  """`status --check --repair`, as the message says or without need."""
  study.doctor("--repair")


TFRECORD = "dataset/shards/train-00000-of-00001.tfrecord"
FAULTS = (
  Fault(
    name="worker_killed",
    state="half",
    tool="SIGKILL of a worker in mid-run",
    inject=in_run(disturbed.kill_one_worker, workers=2),
    code=0,
    says=(
      "killed by signal 9.*will be tried again|will be tried again.*signal 9"
    ),
  ),
  Fault(
    name="parent_killed",
    state="half",
    tool="SIGKILL of the launch in mid-run",
    inject=in_run(lambda process: process.kill()),
    code=-9,
    says="4 runs: 2 done, 2 to run",
  ),
  Fault(
    name="all_killed",
    state="half",
    tool="SIGKILL of the launch and its workers in mid-run",
    inject=in_run(disturbed.kill_all, workers=2),
    code=-9,
    says="4 runs: 2 done, 2 to run",
  ),
  Fault(
    name="terminated",
    state="half",
    tool="SIGTERM in mid-run",
    inject=in_run(lambda process: process.terminate()),
    code=143,
    says=f"interrupted. {KEPT}",
  ),
  Fault(
    name="interrupted_twice",
    state="half",
    tool="SIGINT to the process group in mid-run, and once more 50 ms later",
    inject=in_run(_ctrl_c_twice),
    code=130,
    says=f"interrupted. {KEPT}",
  ),
  Fault(
    name="no_space_for_shards",
    state="new",
    tool="tmpfs of 128 KB as the study's folder",
    inject=small_disk(".", "128k"),
    mend=larger_disk("."),
    code=1,
    says="No space left on device",
    needs="root",
  ),
  Fault(
    name="no_space_for_subsets",
    state="new",
    tool="tmpfs of 4 KB as subsets/",
    inject=small_disk("subsets", "4k"),
    mend=larger_disk("subsets"),
    code=1,
    says="No space left on device: .*subsets",
    needs="root",
  ),
  Fault(
    name="no_space_for_checkpoint",
    state="half",
    tool="tmpfs of 64 KB as work/",
    inject=small_disk("work", "64k"),
    mend=larger_disk("work"),
    code=1,
    says="No space left on device: .*checkpoint.npz",
    needs="root",
  ),
  Fault(
    name="no_space_for_predictions",
    state="prepared",
    tool="tmpfs of 16 KB as the group's folder in runs/",
    inject=small_disk(f"runs/{disturbed.GROUP}", "16k"),
    mend=larger_disk(f"runs/{disturbed.GROUP}"),
    code=1,
    says="No space left on device: .*predictions.parquet",
    needs="root",
  ),
  Fault(
    name="no_space_for_run_json",
    state="prepared",
    tool="tmpfs of 36 KB as the group's folder in runs/",
    inject=small_disk(f"runs/{disturbed.GROUP}", "36k"),
    mend=larger_disk(f"runs/{disturbed.GROUP}"),
    code=1,
    says="No space left on device: .*run.json",
    needs="root",
  ),
  Fault(
    name="no_space_for_scores",
    state="half",
    tool="tmpfs of 8 KB as scores/",
    inject=small_disk("scores", "8k"),
    mend=larger_disk("scores"),
    code=1,
    says="No space left on device: .*scores",
    needs="root",
  ),
  Fault(
    name="no_space_for_page",
    state="half",
    tool="tmpfs of 16 KB as report/",
    inject=small_disk("report", "16k"),
    mend=larger_disk("report"),
    code=1,
    says="No space left on device: .*index.html",
    needs="root",
  ),
  Fault(
    name="file_size_limit_for_shards",
    state="new",
    tool="RLIMIT_FSIZE of 64 KB",
    inject=limited_files(64 << 10),
    code=1,
    says="File too large",
  ),
  Fault(
    name="file_size_limit_for_predictions",
    state="prepared",
    tool="RLIMIT_FSIZE of 24 KB",
    inject=limited_files(24 << 10),
    code=1,
    says="File too large",
  ),
  Fault(
    name="read_error_of_predictions",
    state="finished",
    harms=(1,),
    tool="LD_PRELOAD: read() of one run's predictions gives EIO",
    inject=unreadable("00001/predictions.parquet"),
    code=1,
    says="00001 is damaged: .*Input/output error",
    needs="compiler",
  ),
  Fault(
    name="read_error_of_shards",
    state="half",
    tool="LD_PRELOAD: read() of TFRecord shards gives EIO",
    inject=unreadable(".tfrecord"),
    code=1,
    says="tfrecord is damaged: it cannot be read .Input/output error",
    needs="compiler",
  ),
  Fault(
    name="tfrecord_truncated",
    state="half",
    tool="truncated to half of its size",
    inject=damage(lambda s: disturbed.truncate(s.folder / TFRECORD)),
    mend=_doctor,
    code=1,
    says=r"tfrecord is damaged: it has \d+ bytes instead of \d+",
  ),
  Fault(
    name="tfrecord_bit_flipped",
    state="half",
    tool="a bit flipped, its time of change kept",
    inject=damage(lambda s: disturbed.flip(s.folder / TFRECORD)),
    mend=_doctor,
    code=1,
    says="tfrecord is damaged: it differs from its recorded digest",
  ),
  Fault(
    name="images_bit_flipped",
    state="half",
    tool="a bit of images.npy flipped, its time of change kept",
    inject=damage(lambda s: disturbed.flip(s.folder / "dataset/images.npy")),
    mend=_doctor,
    code=1,
    says="images.npy is damaged: it differs from its recorded digest",
  ),
  Fault(
    name="parquet_truncated",
    state="finished",
    harms=(1,),
    tool="a run's predictions truncated",
    inject=damage(
      lambda s: disturbed.truncate(s.run(1) / "predictions.parquet")
    ),
    code=0,
    says="00001 is damaged: predictions.parquet has .* Moved to .*/damaged/",
  ),
  Fault(
    name="parquet_bit_flipped",
    state="finished",
    harms=(1,),
    tool="a bit of a run's predictions flipped, its time of change kept",
    inject=damage(lambda s: disturbed.flip(s.run(1) / "predictions.parquet")),
    code=0,
    says="00001 is damaged: predictions.parquet differs from its recorded .* "
    "Moved to .*/damaged/",
    is_fast=True,
  ),
  Fault(
    name="subsets_truncated",
    state="half",
    tool="subsets/r0.70.npy truncated",
    inject=damage(lambda s: disturbed.truncate(s.folder / "subsets/r0.70.npy")),
    code=0,
    says="4 runs: 2 done, 2 to run",
  ),
  Fault(
    name="subsets_bit_flipped",
    state="half",
    tool="a bit of subsets/r0.70.npy flipped",
    inject=damage(lambda s: disturbed.flip(s.folder / "subsets/r0.70.npy")),
    mend=_doctor,
    code=1,
    says="does not hold the subsets drawn from the seed",
  ),
  Fault(
    name="images_and_subsets_bit_flipped",
    state="half",
    tool="a bit of images.npy and one of subsets/r0.70.npy flipped",
    inject=damage(
      lambda s: [
        disturbed.flip(s.folder / name)
        for name in ("dataset/images.npy", "subsets/r0.70.npy")
      ]
    ),
    mend=_doctor,
    code=1,
    says="images.npy is damaged: it differs from its recorded digest",
  ),
  Fault(
    name="run_json_with_nonsense",
    state="finished",
    harms=(2,),
    tool="a run.json that another program wrote, with seconds as text",
    inject=damage(
      lambda s: made_up.change(s.run(2) / "run.json", seconds="many")
    ),
    code=0,
    says="00002 is damaged: run.json is damaged .its field seconds must be",
  ),
  Fault(
    name="run_json_truncated",
    state="finished",
    harms=(2,),
    tool="a run.json truncated",
    inject=damage(lambda s: disturbed.truncate(s.run(2) / "run.json")),
    code=0,
    says="00002 is damaged: run.json is damaged",
  ),
  Fault(
    name="config_truncated",
    state="half",
    tool="config.json truncated",
    inject=damage(lambda s: disturbed.truncate(s.folder / "config.json")),
    mend=lambda s: (s.folder / "config.json").unlink(),
    code=1,
    says="config.json cannot be read .* move config.json away",
  ),
  Fault(
    name="info_json_bit_flipped",
    state="half",
    tool="a bit of a digit of the mean in dataset/info.json flipped",
    inject=damage(lambda s: _changed_digit(s.folder / "dataset/info.json")),
    mend=_doctor,
    code=1,
    says="info.json cannot be read .its content does not have the digest",
  ),
  Fault(
    name="run_json_bit_flipped",
    state="finished",
    harms=(2,),
    tool="a bit of a run.json flipped, its time of change kept",
    inject=damage(lambda s: disturbed.flip(s.run(2) / "run.json")),
    code=0,
    says="00002 is damaged: run.json is damaged .its content does not have",
  ),
  Fault(
    name="config_bit_flipped",
    state="half",
    tool="a bit of config.json flipped",
    inject=damage(lambda s: disturbed.flip(s.folder / "config.json")),
    mend=lambda s: (s.folder / "config.json").unlink(),
    code=1,
    says="config.json cannot be read .its content does not have the digest",
  ),
  Fault(
    name="resolved_flags_bit_flipped",
    state="finished",
    tool="a bit of resolved.flags flipped",
    inject=damage(lambda s: disturbed.flip(s.folder / "resolved.flags")),
    code=0,
    says=AGAIN,
  ),
  Fault(
    name="run_of_another_study",
    state="finished",
    harms=(2,),
    tool="a run.json that says that it was trained by another recipe",
    inject=damage(_other_recipe),
    mend=_doctor,
    code=1,
    says="00002 cannot be used: it is not of this study: its recipe_digest is",
  ),
  Fault(
    name="subset_shards_of_another_data_set",
    state="new",
    tool="all killed while subset shards are written; then other --label_noise",
    inject=_stale_subsets,
    code=0,
    says="4 runs: 0 done",
  ),
  Fault(
    name="two_launches_with_other_settings",
    state="new",
    tool="SIGSTOP of a launch that sets up; a second one with other settings",
    inject=_paused_set_up,
    code=2,
    says="(?s)another launch is setting up .*a different config: --label_noise",
  ),
  Fault(
    name="version_changed",
    state="half",
    tool="an environment.json that names another TensorFlow; "
    "--on_version_change=stop",
    inject=_other_version,
    code=2,
    says="another environment: TensorFlow 2.0.0, now .*on_version_change=stop",
  ),
  Fault(
    name="checkpoint_truncated",
    state="half",
    tool="all killed in mid-run, checkpoint.npz truncated",
    inject=_damaged_checkpoint(disturbed.truncate),
    code=0,
    says="checkpoint.npz is damaged .*the run starts from the beginning",
  ),
  Fault(
    name="checkpoint_bit_flipped",
    state="half",
    tool="all killed in mid-run, a bit of checkpoint.npz flipped",
    inject=_damaged_checkpoint(disturbed.flip),
    code=0,
    says="checkpoint.npz is damaged .*the run starts from the beginning",
  ),
  Fault(
    name="run_deleted",
    state="finished",
    harms=(3,),
    tool="a run's folder deleted",
    inject=damage(lambda s: shutil.rmtree(s.run(3))),
    code=0,
    says="4 runs: 3 done, 1 to run",
  ),
  Fault(
    name="run_json_without_files",
    state="finished",
    harms=(3,),
    tool="a run's other files deleted",
    inject=damage(
      lambda s: [p.unlink() for p in s.run(3).iterdir() if p.name != "run.json"]
    ),
    code=0,
    says="00003 is damaged: predictions.parquet is missing",
  ),
  Fault(
    name="one_output_lost",
    state="finished",
    tool="a run's history.jsonl deleted",
    inject=damage(lambda s: (s.run(0) / "history.jsonl").unlink()),
    code=0,
    says="00000 has lost history.jsonl: will be run again",
  ),
  Fault(
    name="two_launches",
    state="new",
    tool="two launches at once on a new folder",
    inject=_two_launches,
    code=0,
    says="runs were done by another launch",
  ),
  Fault(
    name="one_of_two_launches_killed",
    state="prepared",
    tool="SIGKILL of one of two launches",
    inject=_second_joins,
    code=0,
    says=AGAIN,
  ),
  Fault(
    name="clock_set_back",
    state="half",
    tool="all killed in mid-run; then LD_PRELOAD: a clock 400 days behind",
    inject=_clock_set_back,
    code=0,
    says="4 runs: [23] done",
    needs="compiler",
  ),
  Fault(
    name="out_of_memory",
    state="half",
    tool="RLIMIT_AS of a worker set to what it has and 1 MB, in mid-run",
    inject=in_run(_little_memory, workers=2),
    code=0,
    says="will be tried again",
  ),
  Fault(
    name="nan_in_one_unit",
    state="prepared",
    tool="sitecustomize: one unit's weights begin as NaN",
    inject=site(FAULT_NAN_UNIT="00002"),
    code=1,
    says="(?s)failed run +attempts +error.*00002 +2  .*(nan|not finite).*"
    "1 of 4 runs failed",
  ),
  Fault(
    name="failure_that_passes",
    state="half",
    tool="sitecustomize: one unit raises an exception, once",
    inject=site(FAULT_FAIL_ONCE_UNIT="00002"),
    code=0,
    says=(
      "00002 failed and will be tried again: RuntimeError: made to fail once"
    ),
  ),
  Fault(
    name="read_only",
    state="half",
    tool="the folder mounted read-only",
    inject=_read_only,
    mend=lambda s: s.mount_writable(),
    code=1,
    says="Read-only file system",
    needs="root",
  ),
  Fault(
    name="rights_taken_away",
    state="half",
    tool="chmod of the folders of runs/ to 0500 in mid-run, as nobody",
    inject=_rights_taken_away,
    mend=_rights_given_back,
    code=1,
    says=f"Permission denied: .*{KEPT}",
    needs="root",
  ),
)
