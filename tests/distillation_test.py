"""The distillation loss against its definition, and the Distiller at work."""

import pathlib
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from memo_tf import distillation

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLASSES, FEATURES = 4, 5
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(24, FEATURES)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, 24)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
  """A model with the three things that go wrong in training mode."""

  def __init__(self, width=8, **kwargs):
    super().__init__(**kwargs)
    self.width = width
    self.hidden = keras.layers.Dense(width, activation="relu")
    self.norm = keras.layers.BatchNormalization()
    self.drop = keras.layers.Dropout(0.5)
    self.head = keras.layers.Dense(CLASSES, dtype="float32")

  def call(self, inputs):  # has no `training` of its own
    return self.head(self.drop(self.norm(self.hidden(inputs))))

  def get_config(self):
    return {**super().get_config(), "width": self.width}


def sequential(*layers, seed=0):
  keras.utils.set_random_seed(seed)
  return keras.Sequential(
    [
      keras.Input((FEATURES,)),
      keras.layers.Dense(8, activation="relu"),
      *layers,
      keras.layers.Dense(CLASSES, dtype="float32"),
    ]
  )


def functional(seed=0):
  keras.utils.set_random_seed(seed)
  inputs = keras.Input((FEATURES,))
  hidden = keras.layers.Dense(8, activation="relu")(inputs)
  hidden = keras.layers.BatchNormalization()(hidden)
  outputs = keras.layers.Dense(CLASSES, dtype="float32")(hidden)
  return keras.Model(inputs, outputs)


def subclassed(seed=0):
  keras.utils.set_random_seed(seed)
  model = Subclassed()
  model(INPUTS)
  return model


def distiller(
  student=None, teacher=None, *, temperature=3.0, alpha=1.0, **more
):
  return distillation.Distiller(
    student=sequential(seed=1) if student is None else student,
    teacher=sequential(seed=2) if teacher is None else teacher,
    temperature=temperature,
    alpha=alpha,
    **more,
  )


def sgd():
  return keras.optimizers.SGD(0.1, momentum=0.9)


def log_softmax(logits):
  """In extended precision."""
  wide = np.asarray(logits, np.longdouble)
  wide = wide - wide.max(axis=-1, keepdims=True)
  return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def definition(student, teacher, temperature):
  """T^2 KL, one example at a time: terms q - p - p log(q / p) sum to it."""
  losses = []
  for s, t in zip(student, teacher):
    log_q, log_p = log_softmax(s / temperature), log_softmax(t / temperature)
    terms = np.exp(log_q) - np.exp(log_p) - np.exp(log_p) * (log_q - log_p)
    losses.append(temperature**2 * terms.sum())
  return np.array(losses, np.float64)


def weights_of(model):
  return [np.array(w) for w in model.get_weights()]


class DistillationLossTest(parameterized.TestCase):
  @parameterized.product(
    temperature=(1, 3, 7), size=(0.01, 0.1, 1.0, 10.0, 100.0)
  )
  def test_is_the_definition_at_every_size(self, temperature, size):
    rng = np.random.default_rng(1)
    student, teacher = (
      (size * rng.normal(size=(200, 10))).astype(np.float32) for _ in range(2)
    )

    loss = distillation.distillation_loss(
      student, teacher, temperature=temperature
    )

    expected = definition(
      student.astype(np.float64), teacher.astype(np.float64), temperature
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-37)

  def test_hand_computed(self):
    # p = (1/2, 1/2), q = (3/4, 1/4): KL = ln(2/3)/2 + ln(2)/2 = ln(4/3)/2.
    loss = distillation.distillation_loss(
      np.log([[3.0, 1.0]]), np.zeros((1, 2)), temperature=1.0
    )

    np.testing.assert_allclose(loss, [np.log(4 / 3) / 2], rtol=1e-12)

  @parameterized.parameters(1, 3, 7)
  def test_is_0_for_shifted_logits(self, temperature):
    teacher = RNG.normal(size=(50, 10)).astype(np.float32)

    loss = distillation.distillation_loss(
      teacher + 5, teacher, temperature=temperature
    )

    np.testing.assert_allclose(loss, np.zeros(50), atol=1e-11)

  def test_the_switch_is_a_factor_of_the_temperature_squared(self):
    student, teacher = RNG.normal(size=(2, 6, 10))
    on, off = (
      distillation.distillation_loss(
        student, teacher, temperature=3.0, scale_by_temperature_squared=switch
      )
      for switch in (True, False)
    )

    np.testing.assert_allclose(on, 9 * off.numpy(), rtol=1e-12)

  @parameterized.parameters(0.01, 1.0, 100.0)
  def test_gradient_is_t_times_the_difference_of_predictions(self, size):
    student, teacher = size * RNG.normal(size=(2, 30, 10))
    logits, aim = tf.Variable(student), tf.Variable(teacher)

    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(
        distillation.distillation_loss(logits, aim, temperature=3.0)
      )
    ours, teachers = tape.gradient(loss, [logits, aim])

    expected = 3 * (
      np.exp(log_softmax(student / 3)) - np.exp(log_softmax(teacher / 3))
    )
    np.testing.assert_allclose(ours, expected.astype(float), atol=1e-12)
    self.assertIsNone(teachers)

  @parameterized.parameters(
    (tf.float32, tf.float32),
    (tf.float64, tf.float64),
    (tf.bfloat16, tf.float32),
    (tf.float16, tf.float32),
  )
  def test_dtypes(self, given, expected):
    student = tf.cast(RNG.normal(size=(3, 4)), given)
    teacher = tf.cast(RNG.normal(size=(3, 4)), tf.float32)

    loss = distillation.distillation_loss(student, teacher, temperature=3)

    self.assertEqual((loss.dtype, loss.shape), (expected, (3,)))
    wide = definition(
      tf.cast(student, tf.float64).numpy(), teacher.numpy().astype(float), 3
    )
    np.testing.assert_allclose(loss, wide, rtol=1e-5)

  def test_an_ensemble_predicts_the_mean(self):
    logits = RNG.normal(size=(6, 3, 4)) * 5

    result = distillation.ensemble_logits(logits, temperature=3.0)

    mean = np.exp(log_softmax(logits / 3)).mean(axis=1).astype(float)
    np.testing.assert_allclose(
      np.exp(log_softmax(result / 3)).astype(float), mean, rtol=1e-12
    )

  @parameterized.named_parameters(
    ("zero", {"temperature": 0}, "`temperature` must be above 0.*=0"),
    ("negative", {"temperature": -3.0}, "above 0.*-3.0"),
    ("nan", {"temperature": float("nan")}, "above 0.*nan"),
    ("infinite", {"temperature": float("inf")}, "above 0.*inf"),
    ("text", {"temperature": "3"}, "above 0.*'3'"),
    ("shapes", {"teacher": np.zeros((3, 5))}, r"\[B, C\].*\(3, 5\)"),
    ("rank", {"teacher": np.zeros(4)}, r"\[B, C\].*\(4,\)"),
    ("labels", {"teacher": np.zeros((3, 4), int)}, "floats.*int64"),
  )
  def test_rejects(self, changes, message):
    arguments = {"temperature": 3.0, **changes}
    teacher = arguments.pop("teacher", np.zeros((3, 4)))

    with self.assertRaisesRegex(ValueError, message):
      distillation.distillation_loss(np.zeros((3, 4)), teacher, **arguments)


class StepTest(parameterized.TestCase):
  """One step of `fit` against plain TensorFlow."""

  def expected_step(self, student, losses_of, rate=0.1):
    """Weights after one step of plain SGD on the mean `losses_of(logits)`."""
    reference = keras.models.clone_model(student)
    reference.set_weights(student.get_weights())
    with tf.GradientTape() as tape:
      logits = reference(INPUTS, training=True)
      loss = tf.reduce_mean(losses_of(logits))
    variables = reference.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
      variable.assign_sub(rate * gradient)
    return float(loss), weights_of(reference)

  def step(self, model, y=None, loss=None, **more):
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    return model.fit(INPUTS, y, batch_size=24, verbose=0, shuffle=False, **more)

  def assert_weights(self, model, expected):
    for ours, theirs in zip(weights_of(model), expected, strict=True):
      np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)

  def losses_of(self, teacher, alpha, temperature=3.0, scale=True):
    aim = np.asarray(teacher(INPUTS, training=False)) / temperature

    def losses(logits):
      log_q = tf.nn.log_softmax(logits / temperature)
      log_p = tf.nn.log_softmax(aim)
      kl = tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1)
      labels = -tf.gather(tf.nn.log_softmax(logits), LABELS, batch_dims=1)
      factor = temperature**2 if scale else 1.0
      return alpha * factor * kl + (1 - alpha) * labels

    return losses

  @parameterized.product(alpha=(1.0, 0.3, 0.0), scale=(True, False))
  def test_is_the_formula(self, alpha, scale):
    student, teacher = functional(1), functional(2)
    loss, expected = self.expected_step(
      student, self.losses_of(teacher, alpha, scale=scale)
    )
    model = distiller(
      student, teacher, alpha=alpha, scale_by_temperature_squared=scale
    )

    history = self.step(model, LABELS, "sparse_categorical_crossentropy")

    self.assert_weights(student, expected)
    self.assertAlmostEqual(history.history["loss"][0], loss, delta=1e-5)

  @parameterized.named_parameters(
    ("name", "sparse_categorical_crossentropy"),
    ("class_name", "SparseCategoricalCrossentropy"),
    ("keras_function", keras.losses.sparse_categorical_crossentropy),
    (
      "own_function",
      lambda y, p: keras.losses.sparse_categorical_crossentropy(
        y, p, from_logits=True
      ),
    ),
    ("object", keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
  )
  def test_label_losses(self, loss):
    student, teacher = functional(1), functional(2)
    _, expected = self.expected_step(student, self.losses_of(teacher, 0.5))

    self.step(distiller(student, teacher, alpha=0.5), LABELS, loss)

    self.assert_weights(student, expected)

  def test_pure_distillation_needs_no_labels(self):
    student, teacher = functional(1), functional(2)
    _, expected = self.expected_step(student, self.losses_of(teacher, 1.0))

    self.step(distiller(student, teacher))

    self.assert_weights(student, expected)

  @parameterized.parameters(True, False)
  def test_cached_logits_give_the_same_step(self, keep_teacher):
    student, teacher = functional(1), functional(2)
    _, expected = self.expected_step(student, self.losses_of(teacher, 0.5))
    asked = distiller(student, teacher, alpha=0.5)
    targets = asked.cached_targets(INPUTS, LABELS)
    np.testing.assert_allclose(
      targets["teacher_logits"], teacher(INPUTS), atol=1e-6
    )
    model = distillation.Distiller(
      student=student,
      teacher=functional(9) if keep_teacher else None,
      temperature=3.0,
      alpha=0.5,
    )

    self.step(model, targets, "sparse_categorical_crossentropy")

    self.assert_weights(student, expected)

  @parameterized.parameters(True, False)
  def test_several_teachers_teach_their_mean(self, cached):
    student, teachers = functional(1), [functional(2), subclassed(3)]
    mean = np.mean(
      [np.exp(log_softmax(np.asarray(t(INPUTS)) / 3)) for t in teachers],
      axis=0,
      dtype=float,
    )

    def losses(logits):
      kl = keras.losses.KLDivergence(reduction=None)
      return 9 * kl(mean, tf.nn.softmax(logits / 3))

    _, expected = self.expected_step(student, losses)
    model = distiller(student, teachers)

    self.step(model, model.cached_targets(INPUTS) if cached else None)

    self.assert_weights(student, expected)

  def test_weights_of_0_are_examples_left_out(self):
    student, teacher = functional(1), functional(2)
    weights = np.array([1.0, 0.0, 2.0] * 8, np.float32)
    losses = self.losses_of(teacher, 0.5)
    _, expected = self.expected_step(student, lambda z: weights * losses(z))
    _, unweighted = self.expected_step(student, losses)

    self.step(
      distiller(student, teacher, alpha=0.5),
      LABELS,
      "sparse_categorical_crossentropy",
      sample_weight=weights,
    )

    self.assert_weights(student, expected)
    self.assertGreater(np.abs(expected[0] - unweighted[0]).max(), 1e-3)

  @parameterized.parameters(0.0, 0.5, 1.0)
  def test_only_weights_of_0_give_no_update(self, alpha):
    student = sequential(seed=1)
    before = weights_of(student)

    self.step(
      distiller(student, alpha=alpha),
      LABELS,
      "sparse_categorical_crossentropy",
      sample_weight=np.zeros(24, np.float32),
    )

    for old, new in zip(before, weights_of(student)):
      np.testing.assert_array_equal(old, new)

  def test_regularization_is_the_students_alone_and_whole(self):
    def regularized(seed):
      keras.utils.set_random_seed(seed)
      l2 = keras.regularizers.L2(0.1)
      head = keras.layers.Dense(CLASSES, kernel_regularizer=l2)
      return keras.Sequential([keras.Input((FEATURES,)), head])

    student, teacher = regularized(1), regularized(2)
    losses = self.losses_of(teacher, 0.5)
    penalty = 0.1 * tf.reduce_sum(student.layers[0].kernel ** 2)
    loss, _ = self.expected_step(student, losses)

    history = self.step(
      distiller(student, teacher, alpha=0.5),
      LABELS,
      "sparse_categorical_crossentropy",
    )

    self.assertAlmostEqual(
      history.history["loss"][0], loss + float(penalty), delta=1e-5
    )

  @parameterized.product(
    student=("float32", "mixed_bfloat16", "mixed_float16"),
    teacher=("float32", "mixed_bfloat16"),
  )
  def test_either_model_may_be_of_mixed_precision(self, student, teacher):
    models = []
    for seed, policy in ((1, student), (2, teacher)):
      keras.config.set_dtype_policy(policy)
      self.addCleanup(keras.config.set_dtype_policy, "float32")
      models.append(functional(seed))
    keras.config.set_dtype_policy("float32")
    plain = functional(1)
    _, expected = self.expected_step(plain, self.losses_of(models[1], 1.0))
    before = weights_of(models[0])

    model = distiller(*models)
    self.step(model)

    is_scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    self.assertEqual(is_scaled, student == "mixed_float16")
    moved = np.abs(expected[0] - before[0]).max()
    error = np.abs(weights_of(models[0])[0] - expected[0]).max()
    self.assertLess(error, (1e-4 if student == "float32" else 0.05) * moved)
    self.assertEqual(models[0].trainable_variables[0].dtype, "float32")


class DistillerTest(parameterized.TestCase):
  @parameterized.product(
    student=(functional, sequential, subclassed),
    teacher=(functional, sequential, subclassed),
  )
  def test_every_kind_learns_and_the_teacher_stays(self, student, teacher):
    student, teacher = student(seed=1), teacher(seed=2)
    teacher.layers[0].trainable = False
    trainable = [layer.trainable for layer in teacher.layers]
    before = weights_of(teacher)
    model = distiller(student, teacher)
    model.compile(optimizer=keras.optimizers.Adam(0.01), metrics=["accuracy"])
    model.trainable = True

    losses = model.fit(INPUTS, LABELS, epochs=12, verbose=0).history["loss"]

    self.assertLess(losses[-1], losses[0])
    self.assertEqual([x.trainable for x in teacher.layers], trainable)
    self.assertTrue(teacher.trainable)
    for old, new in zip(before, weights_of(teacher), strict=True):
      np.testing.assert_array_equal(old, new)
    np.testing.assert_allclose(
      model.predict(INPUTS, verbose=0), student(INPUTS), atol=1e-5
    )
    self.assertLen(model.trainable_variables, len(student.trainable_variables))

  def test_freezing_the_distiller_leaves_the_teacher(self):
    teacher = sequential(seed=2)
    model = distiller(teacher=teacher)

    model.trainable = False

    self.assertFalse(model.student.trainable)
    self.assertTrue(teacher.trainable)

  def test_evaluate_tells_the_loss_its_parts_and_the_metrics(self):
    student, teacher = functional(1), functional(2)
    model = distiller(student, teacher, alpha=0.25)
    model.compile(
      "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )

    # Batches of 10, 10 and 4: means are over examples, not over batches.
    found = model.evaluate(
      INPUTS, LABELS, batch_size=10, verbose=0, return_dict=True
    )

    logits = np.asarray(student(INPUTS))
    kl = definition(logits, np.asarray(teacher(INPUTS)), 3.0).mean()
    rows = np.arange(len(LABELS))
    label = -log_softmax(logits)[rows, LABELS].mean()
    self.assertAlmostEqual(found["distillation_loss"], kl, delta=1e-5)
    self.assertAlmostEqual(found["label_loss"], float(label), delta=1e-5)
    self.assertAlmostEqual(
      found["loss"], float(0.25 * kl + 0.75 * label), delta=1e-5
    )
    hits = (logits.argmax(axis=1) == LABELS).mean()
    self.assertAlmostEqual(found["accuracy"], hits, delta=1e-6)

  @parameterized.named_parameters(
    ("functional", lambda: (functional(1), functional(2)), 0.5),
    ("subclassed", lambda: (subclassed(1), subclassed(2)), 1.0),
    (
      "several",
      lambda: (sequential(seed=1), [functional(2), functional(3)]),
      1,
    ),
  )
  def test_a_reloaded_one_takes_the_same_next_step(self, models, alpha):
    path = pathlib.Path(self.create_tempdir().full_path) / "distiller.keras"
    student, teacher = models()
    model = distiller(student, teacher, alpha=alpha)
    model.compile(sgd(), "sparse_categorical_crossentropy")
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(INPUTS, LABELS, **options)
    model.save(path)

    loaded = keras.models.load_model(path)

    self.assertEqual(loaded.temperature, 3.0)
    for one, other in zip(model.teachers, loaded.teachers, strict=True):
      for old, new in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(old, new)
    # Dropout draws from the state that was saved, too.
    for each in (model, loaded):
      each.fit(INPUTS, LABELS, **options)
    for old, new in zip(weights_of(model), weights_of(loaded), strict=True):
      np.testing.assert_allclose(old, new, rtol=1e-6, atol=1e-7)

  def test_export_is_the_student_alone(self):
    folder = self.create_tempdir().full_path
    model = distiller(functional(1), functional(2))
    model.compile("sgd")
    model.fit(INPUTS, verbose=0)

    model.export(folder, verbose=False)

    loaded = tf.saved_model.load(folder)
    np.testing.assert_allclose(
      loaded.serve(INPUTS), model.student(INPUTS), atol=1e-6
    )
    self.assertLen(loaded.variables, len(model.student.variables))

  def test_data_sets_with_cached_logits_train_the_same(self):
    results = []
    for as_dataset in (True, False):
      model = distiller(functional(1), functional(2))
      model.compile(sgd())
      targets = model.cached_targets(INPUTS, LABELS)
      if as_dataset:
        data = tf.data.Dataset.from_tensor_slices((INPUTS, targets)).batch(8)
        model.fit(data, verbose=0)
      else:
        model.fit(INPUTS, targets, batch_size=8, shuffle=False, verbose=0)
      results.append(weights_of(model.student))

    for one, other in zip(*results):
      np.testing.assert_array_equal(one, other)

  def test_a_teacher_is_asked_in_evaluation_mode(self):
    modes = []

    @keras.saving.register_keras_serializable(package="tests")
    class Spy(keras.layers.Layer):
      def call(self, inputs, training=None):
        modes.append(training)
        return inputs

    model = distiller(sequential(seed=1), sequential(Spy(), seed=2))
    modes.clear()
    model.compile("sgd")
    model.fit(INPUTS, verbose=0)

    self.assertNotEmpty(modes)
    self.assertEqual(set(modes), {False})

  @parameterized.named_parameters(
    ("alpha", {"alpha": 1.5}, r"`alpha` must be in \[0, 1\].*alpha=1.5"),
    ("nan", {"alpha": float("nan")}, "alpha=nan"),
    ("no_number", {"alpha": None}, "alpha=None"),
    ("temperature", {"temperature": 0.0}, "`temperature` must be above 0"),
    ("teacher", {"teacher": "big"}, "`teacher` must be a keras.Model.*'big'"),
    ("no_teachers", {"teacher": []}, "at least one"),
    ("one_of_them", {"teacher": [sequential(), 3]}, "keras.Model.*teacher=3"),
    ("student", {"student": lambda x: x}, "`student` must be a keras.Model"),
    (
      "classes",
      {"teacher": keras.Sequential([keras.Input((5,)), keras.layers.Dense(7)])},
      r"same classes.*\(None, 4\).*\(None, 7\)",
    ),
  )
  def test_rejects(self, changes, message):
    with self.assertRaisesRegex(ValueError, message):
      distiller(**changes)

  def test_rejects_itself_as_its_teacher(self):
    model = sequential()

    with self.assertRaisesRegex(ValueError, "a different model from `student`"):
      distiller(model, model)

  @parameterized.named_parameters(
    ("no_loss", {}, "`loss` must be the label loss.*alpha=0.5"),
    (
      "probabilities",
      {"loss": keras.losses.CategoricalCrossentropy()},
      "must take logits.*from_logits=False",
    ),
  )
  def test_compile_rejects(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      distiller(alpha=0.5).compile("sgd", **arguments)

  @parameterized.named_parameters(
    ("no_labels", 0.5, None, "must hold the labels if `alpha`"),
    ("no_labels_to_measure", 1.0, None, "if `compile` was given metrics"),
    ("unknown", 1.0, {"labels": LABELS, "logits": LABELS}, "'teacher_logits'"),
    (
      "classes",
      1.0,
      {"labels": LABELS, "teacher_logits": np.zeros((24, 7), np.float32)},
      r"\[B, C\]",
    ),
  )
  def test_fit_rejects(self, alpha, y, message):
    model = distiller(alpha=alpha)
    model.compile(
      "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )

    with self.assertRaisesRegex(ValueError, message):
      model.fit(INPUTS, y, verbose=0)

  def test_without_a_teacher_the_logits_must_come(self):
    model = distillation.Distiller(
      student=sequential(), teacher=None, temperature=1.0, alpha=1.0
    )
    model.compile("sgd")

    with self.assertRaisesRegex(ValueError, 'must hold "teacher_logits"'):
      model.fit(INPUTS, LABELS, verbose=0)
    with self.assertRaisesRegex(ValueError, "teacher=None"):
      model.teacher_logits(INPUTS)


class Probable(Subclassed):
  """A model that returns probabilities, and does not show it."""

  def call(self, inputs):
    return keras.ops.softmax(super().call(inputs))


def with_head(kind: str):
  """A model whose last layer is a softmax, in the ways of Keras."""
  keras.utils.set_random_seed(3)
  if kind == "dense":
    inner = keras.layers.Dense(CLASSES, activation="softmax")
    return keras.Sequential([keras.Input((FEATURES,)), inner])
  inputs = keras.Input((FEATURES,))
  logits = keras.layers.Dense(CLASSES)(inputs)
  if kind == "layer":
    return keras.Model(inputs, keras.layers.Softmax()(logits))
  if kind == "operation":
    return keras.Model(inputs, keras.ops.softmax(logits))
  nested = keras.Model(inputs, keras.layers.Activation("softmax")(logits))
  outer = keras.Input((FEATURES,))
  return keras.Sequential([keras.Model(outer, nested(outer))])


class ProbabilitiesTest(parameterized.TestCase):
  @parameterized.product(
    kind=("dense", "layer", "operation", "nested"), role=("student", "teacher")
  )
  def test_a_softmax_as_last_layer_is_refused(self, kind, role):
    with self.assertRaisesRegex(
      ValueError, f"`{role}` must be logits.*a softmax as its last layer"
    ):
      distiller(**{role: with_head(kind)})

  @parameterized.product(
    role=("student", "teacher"),
    form=("array", "data set"),
    call=("fit", "eval"),
  )
  def test_outputs_that_sum_to_1_are_refused(self, role, form, call):
    model = Probable()
    model(INPUTS)
    learner = distiller(**{role: model})
    learner.compile(optimizer=sgd())
    x = INPUTS
    if form == "data set":
      x = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(8)
    before = weights_of(model)

    run = learner.fit if call == "fit" else learner.evaluate
    with self.assertRaisesRegex(ValueError, f"`{role}`.*sum to 1") as caught:
      run(x, verbose=0)

    self.assertNotIn("\n", str(caught.exception))
    for value, expected in zip(weights_of(model), before):
      np.testing.assert_array_equal(value, expected)

  def test_cached_probabilities_are_refused(self):
    learner = distiller()
    learner.compile(optimizer=sgd())
    for shape in ((24, CLASSES), (24, 3, CLASSES)):
      wrong = np.full(shape, 1 / CLASSES, np.float32)
      with self.assertRaisesRegex(ValueError, "`teacher_logits` must be"):
        learner.fit(INPUTS, {"teacher_logits": wrong}, verbose=0)

  def test_cached_logits_of_another_rank_are_refused_by_the_rule(self):
    learner = distiller()
    learner.compile(optimizer=sgd())
    with self.assertRaisesRegex(ValueError, r"of one shape \[B, C\]"):
      learner.fit(INPUTS, {"teacher_logits": np.zeros(24)}, verbose=0)

  def test_asking_reads_nothing_of_a_data_set(self):
    read = []

    def examples():
      read.append(1)
      yield from zip(INPUTS, LABELS)

    signature = (
      tf.TensorSpec((FEATURES,), tf.float32),
      tf.TensorSpec((), tf.int64),
    )
    data = tf.data.Dataset.from_generator(
      examples, output_signature=signature
    ).batch(8)
    learner = distiller()
    learner.compile(optimizer=sgd())

    learner.fit(data, epochs=1, verbose=0)

    self.assertLen(read, 1)


class CallbacksTest(absltest.TestCase):
  def learner(self):
    dropout = keras.layers.Dropout(0.3, seed=5)
    student = sequential(dropout, seed=1)
    learner = distiller(student, alpha=0.5)
    learner.compile(
      optimizer=sgd(),
      loss="sparse_categorical_crossentropy",
      metrics=["accuracy"],
    )
    return learner

  def fit(self, learner, *callbacks, epochs=4):
    return learner.fit(
      INPUTS,
      LABELS,
      epochs=epochs,
      batch_size=8,
      shuffle=False,
      verbose=0,
      callbacks=callbacks,
    )

  def test_a_killed_fit_is_restored_to_the_bit(self):
    folder = self.create_tempdir().full_path

    def kill(epoch, logs):
      if epoch == 1:
        raise InterruptedError

    whole, killed, restored = (self.learner() for _ in range(3))
    self.fit(whole)
    with self.assertRaises(InterruptedError):
      self.fit(
        killed,
        keras.callbacks.BackupAndRestore(folder),
        keras.callbacks.LambdaCallback(on_epoch_end=kill),
      )
    history = self.fit(restored, keras.callbacks.BackupAndRestore(folder))

    self.assertEqual(history.epoch, [2, 3])
    for value, expected in zip(weights_of(restored), weights_of(whole)):
      np.testing.assert_array_equal(value, expected)

  def test_tensorboard_gets_every_loss_and_changes_nothing(self):
    from tensorboard.backend.event_processing import event_accumulator

    folder = self.create_tempdir().full_path
    plain, logged = self.learner(), self.learner()
    history = self.fit(plain, epochs=2).history
    self.fit(
      logged, keras.callbacks.TensorBoard(folder, histogram_freq=1), epochs=2
    )

    for value, expected in zip(weights_of(logged), weights_of(plain)):
      np.testing.assert_array_equal(value, expected)
    events = event_accumulator.EventAccumulator(f"{folder}/train")
    events.Reload()
    for name in ("loss", "distillation_loss", "label_loss", "accuracy"):
      found = [
        float(tf.make_ndarray(event.tensor_proto))
        for event in events.Tensors(f"epoch_{name}")
      ]
      np.testing.assert_allclose(found, history[name], rtol=1e-6)


class AloneTest(absltest.TestCase):
  def test_the_file_works_without_memo_tf(self):
    program = f"""
import importlib.util, sys
class Blocked:
  def find_spec(self, name, path=None, target=None):
    if name.split(".")[0] == "memo_tf":
      raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocked())
path = {str(ROOT / "memo_tf/distillation.py")!r}
spec = importlib.util.spec_from_file_location("alone", path)
alone = importlib.util.module_from_spec(spec)
spec.loader.exec_module(alone)
import keras, numpy as np
def model():
  return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
distiller = alone.Distiller(
  student=model(), teacher=model(), temperature=3.0, alpha=1.0)
distiller.compile("sgd")
distiller.fit(np.ones((4, 3), np.float32), verbose=0)
print("memo_tf" in sys.modules)
"""
    result = subprocess.run(
      [sys.executable, "-c", program],
      cwd=self.create_tempdir().full_path,
      capture_output=True,
      text=True,
      check=False,
    )

    self.assertEqual(result.returncode, 0, result.stderr)
    self.assertEqual(result.stdout.strip(), "False")


if __name__ == "__main__":
  absltest.main()
