"""Research code with gradients of gradients, each written once with Keras and unikeras.

Each application starts from weights and data drawn with numpy, so that it computes the same on every backend, and
returns named arrays: `loss` is its curve; a pair `x`, `x (expected)` is the same number computed in two ways.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

import unikeras as uk

Outcome = dict[str, np.ndarray]


def outcome(**values) -> Outcome:
    return {
        name.replace("_expected", " (expected)"): np.stack([ops.convert_to_numpy(x) for x in value])
        if isinstance(value, list)
        else np.asarray(ops.convert_to_numpy(value))
        for name, value in values.items()
    }


def tensor(values):
    return ops.convert_to_tensor(np.asarray(values, "float32"))


def start(model: keras.Model, seed: int) -> keras.Model:
    """Give a model weights that do not depend on the backend's random numbers."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.normal(size=w.shape) / np.sqrt(np.prod(w.shape[:-1]) or 1.0) for w in model.weights]
    )
    return model


def mlp(*units: int, activation: str = "tanh", seed: int = 0) -> keras.Model:
    hidden = [layers.Dense(n, activation) for n in units[1:-1]]
    return start(keras.Sequential([keras.Input(units[:1]), *hidden, layers.Dense(units[-1])]), seed)


def burgers(steps: int = 60, viscosity: float = 0.01 / np.pi) -> Outcome:
    """A physics-informed network for u_t + u u_x = nu u_xx, with u(0, x) = -sin(pi x) and u(t, -1) = u(t, 1) = 0.

    Source:
        Raissi, Perdikaris, Karniadakis (2019), Physics-informed neural networks.
    """
    rng = np.random.default_rng(1)
    model, optimizer = mlp(2, 20, 20, 1), keras.optimizers.Adam(1e-2)
    t, x = tensor(rng.uniform(0, 1, (128, 1))), tensor(rng.uniform(-1, 1, (128, 1)))
    edge = np.linspace(-1, 1, 32)[:, None]
    at_start = tensor(np.hstack([np.zeros_like(edge), edge]))
    at_walls = tensor(np.hstack([np.abs(edge), np.sign(edge)]))

    def u(t, x):
        return model(ops.concatenate([t, x], axis=-1))

    def residual(t, x):
        with uk.GradientTape() as outer:
            outer.watch(x)
            with uk.GradientTape() as inner:
                inner.watch([t, x])
                value = u(t, x)
            u_t, u_x = inner.gradient(value, [t, x])
        return u_t + value * u_x - viscosity * outer.gradient(u_x, x)

    def residual_at(t, x):
        """The same at one point, as a composition of transforms."""

        def one(t, x):
            return u(t[None], x[None])[0, 0]

        u_t, u_x = uk.grad(one, argnums=(0, 1))(t, x)
        u_xx = uk.grad(uk.grad(one, argnums=1), argnums=1)(t, x)
        return u_t + one(t, x) * u_x - viscosity * u_xx

    @uk.function
    def step():
        with uk.GradientTape() as tape:
            loss = (
                ops.mean(residual(t, x) ** 2)
                + ops.mean((model(at_start) + ops.sin(np.pi * at_start[:, 1:])) ** 2)
                + ops.mean(model(at_walls) ** 2)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return outcome(
        residual=uk.function(residual)(t, x),
        residual_expected=uk.function(uk.vmap(residual_at))(t, x),
        loss=[step() for _ in range(steps)],
    )


def wgan_gp(steps: int = 80, weight: float = 10.0) -> Outcome:
    """A Wasserstein GAN with gradient penalty that learns a shifted normal distribution.

    Source:
        Gulrajani et al. (2017), Improved training of Wasserstein GANs, algorithm 1.
    """
    rng = np.random.default_rng(2)
    generator, critic = mlp(2, 16, 2, seed=3), mlp(2, 16, 16, 1, seed=4)
    improve_generator = keras.optimizers.Adam(5e-3, beta_1=0.5, beta_2=0.9)
    improve_critic = keras.optimizers.Adam(5e-3, beta_1=0.5, beta_2=0.9)

    def penalty(real, fake, mix):
        between = mix * real + (1 - mix) * fake
        with uk.GradientTape() as tape:
            tape.watch(between)
            scores = critic(between)
        norm = ops.sqrt(ops.sum(tape.gradient(scores, between) ** 2, axis=-1) + 1e-12)
        return ops.mean((norm - 1) ** 2)

    @uk.function
    def step(real, noise, mix):
        with uk.GradientTape() as tape:
            fake = uk.stop_gradient(generator(noise))
            distance = ops.mean(critic(real)) - ops.mean(critic(fake))
            loss = weight * penalty(real, fake, mix) - distance
        improve_critic.apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)
        with uk.GradientTape() as tape:
            fake = generator(noise)
            score = -ops.mean(critic(fake))
        improve_generator.apply(
            tape.gradient(score, generator.trainable_variables), generator.trainable_variables
        )
        return loss, ops.sqrt(ops.sum((ops.mean(fake, axis=0) - ops.mean(real, axis=0)) ** 2))

    curve = [
        step(
            tensor(rng.normal((2.0, -1.0), 0.5, (64, 2))),
            tensor(rng.normal(size=(64, 2))),
            tensor(rng.uniform(size=(64, 1))),
        )
        for _ in range(steps)
    ]
    return outcome(loss=[loss for loss, _ in curve], distance=[distance for _, distance in curve])


def maml(steps: int = 40, rate: float = 0.1) -> Outcome:
    """Weights from which one gradient step fits a sine of any amplitude and phase.

    The gradient through that step is, written out, g - rate * H g, with g taken after the step and H before it.

    Source:
        Finn, Abbeel, Levine (2017), Model-agnostic meta-learning, section 5.1.
    """
    rng = np.random.default_rng(5)
    model, optimizer = mlp(1, 16, 16, 1, seed=6), keras.optimizers.Adam(1e-2)

    def fit(weights, x, y):
        predicted, _ = model.stateless_call(weights, [], x)
        return ops.mean((predicted - y) ** 2)

    def adapted(weights, x, y):
        return [w - rate * g for w, g in zip(weights, uk.grad(fit)(weights, x, y), strict=True)]

    def after_adapting(weights, task):
        return fit(adapted(weights, task["x"], task["y"]), task["new x"], task["new y"])

    def written_out(weights, task):
        ahead = uk.grad(fit)(adapted(weights, task["x"], task["y"]), task["new x"], task["new y"])
        bent = uk.hvp(lambda weights: fit(weights, task["x"], task["y"]), weights, ahead)
        return [g - rate * h for g, h in zip(ahead, bent, strict=True)]

    def over_tasks(weights, tasks):
        return ops.mean(uk.vmap(after_adapting, in_axes=(None, 0))(weights, tasks))

    @uk.function
    def step(tasks):
        weights = [v.value for v in model.trainable_variables]
        loss, gradients = uk.value_and_grad(over_tasks)(weights, tasks)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    def draw(tasks: int = 8, shots: int = 10):
        height, phase = rng.uniform(0.5, 2.0, (tasks, 1, 1)), rng.uniform(0, np.pi, (tasks, 1, 1))
        x = {name: rng.uniform(-2, 2, (tasks, shots, 1)) for name in ("x", "new x")}
        y = {name.replace("x", "y"): height * np.sin(x + phase) for name, x in x.items()}
        return {name: tensor(values) for name, values in {**x, **y}.items()}

    weights = [tensor(w) for w in model.get_weights()]
    task = {name: values[0] for name, values in draw().items()}
    tasks = draw()
    return outcome(
        gradient=flat(uk.function(uk.grad(after_adapting))(weights, task)),
        gradient_expected=flat(uk.function(written_out)(weights, task)),
        loss=[step(tasks) for _ in range(steps)],
    )


def flat(tensors):
    return ops.concatenate([ops.reshape(one, (-1,)) for one in tensors])


def bars(count: int = 64, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Noise with two bright bars anywhere, lying (label 0) or standing (label 1)."""
    rng = np.random.default_rng(7)
    images, labels = rng.normal(0, 0.2, (count, size, size, 1)), rng.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        row, column = rng.integers(0, size - 4, 2)
        patch = image[row : row + 4, column : column + 4, 0]
        (patch.T if label else patch)[[0, 3]] += 2.0
    return images, labels


def explanations(steps: int = 40) -> Outcome:
    """Grad-CAM and integrated gradients on a small CNN that tells lying bars from standing ones.

    Source:
        Selvaraju et al. (2017), Grad-CAM; Sundararajan, Taly, Yan (2017), Axiomatic attribution for deep
        networks.
    """
    values, labels = bars()
    images, optimizer = tensor(values), keras.optimizers.Adam(2e-2)
    features = keras.Sequential(
        [
            keras.Input(values.shape[1:]),
            layers.Conv2D(6, 3, padding="same", activation="tanh"),
            layers.Conv2D(6, 3, padding="same", activation="softplus"),
        ]
    )
    head = keras.Sequential(
        [keras.Input(features.output_shape[1:]), layers.GlobalAveragePooling2D(), layers.Dense(2)]
    )
    start(features, 8), start(head, 9)
    variables = features.trainable_variables + head.trainable_variables
    target = ops.one_hot(labels, 2)

    @uk.function
    def step():
        with uk.GradientTape() as tape:
            loss = ops.mean(ops.categorical_crossentropy(target, head(features(images)), from_logits=True))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def score(images):
        return ops.sum(head(features(images)) * target, axis=-1)

    @uk.function
    def grad_cam():
        with uk.GradientTape() as tape:
            maps = features(images)
            tape.watch(maps)
            own = ops.sum(head(maps) * target)
        return maps, ops.mean(tape.gradient(own, maps), axis=(1, 2))

    @uk.function
    def integrated_gradients(points: int = 64):
        baseline = ops.zeros_like(images)
        along = tensor((np.arange(points) + 0.5) / points)
        slopes = uk.vmap(lambda a: uk.grad(score)(baseline + a * (images - baseline)))(along)
        attributions = (images - baseline) * ops.mean(slopes, axis=0)
        return ops.sum(attributions, axis=(1, 2, 3)), score(images) - score(baseline)

    curve = [step() for _ in range(steps)]
    maps, weights = grad_cam()
    # Under a global average and one dense layer the weights are that layer's, as in CAM.
    kernel = ops.matmul(target, ops.transpose(head.layers[-1].kernel))
    attributed, difference = integrated_gradients()
    return outcome(
        loss=curve,
        heat=ops.relu(ops.einsum("bijc,bc->bij", maps, weights)),
        heat_expected=ops.relu(ops.einsum("bijc,bc->bij", maps, kernel / np.prod(maps.shape[1:3]))),
        attributed=attributed,
        attributed_expected=difference,
    )


def dp_sgd(steps: int = 30, clip: float = 1.0, noise: float = 0.5) -> Outcome:
    """Descent on clipped gradients of single examples, with noise.

    Source:
        Abadi et al. (2016), Deep learning with differential privacy, algorithm 1.
    """
    rng = np.random.default_rng(10)
    model, optimizer = mlp(4, 8, 3, seed=11), keras.optimizers.SGD(0.5)
    variables = model.trainable_variables
    values = rng.normal(size=(32, 4))
    x, y = tensor(values), ops.convert_to_tensor(np.argmax(values[:, :3], axis=-1))

    def loss(x, y):
        return ops.sparse_categorical_crossentropy(y[None], model(x[None]), from_logits=True)[0]

    def clipped(gradients):
        """Scale each example's gradients down to a norm of at most `clip`."""
        norm = ops.sqrt(sum(ops.sum(ops.reshape(g, (len(x), -1)) ** 2, axis=1) for g in gradients))
        scale = ops.minimum(1.0, clip / norm)
        return [g * ops.reshape(scale, (-1,) + (1,) * (len(g.shape) - 1)) for g in gradients]

    @uk.function
    def step(*draws):
        both = uk.vmap(uk.value_and_grad(loss, variables=variables))
        losses, gradients = both(x, y)
        private = [ops.mean(g, axis=0) + d for g, d in zip(clipped(gradients), draws, strict=True)]
        optimizer.apply(private, variables)
        return ops.mean(losses)

    together = uk.function(uk.vmap(uk.grad(loss, variables=variables)))(x, y)
    one = uk.function(uk.grad(loss, variables=variables))
    single = zip(*[one(x[i], y[i]) for i in range(len(x))], strict=True)
    scale = noise * clip / len(x)
    return outcome(
        gradients=flat(clipped(together)),
        gradients_expected=flat(clipped([ops.stack(gradients) for gradients in single])),
        loss=[step(*[tensor(rng.normal(0, scale, v.shape)) for v in variables]) for _ in range(steps)],
    )


def top_eigenvalue(product, size: int, steps: int):
    """Return the estimates that power iteration gives for the eigenvalue that is largest in absolute value."""
    v = tensor(np.ones(size) / np.sqrt(size))
    estimates = []
    for _ in range(steps):
        along = product(v)
        estimates.append(ops.sum(v * along))
        v = along / ops.norm(along)
    return estimates


def curvature(steps: int = 40) -> Outcome:
    """The largest eigenvalue of a hessian that is never computed: of a quadratic, and of a network's loss.

    Source:
        Pearlmutter (1994), Fast exact multiplication by the Hessian.
    """
    rng = np.random.default_rng(12)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    eigenvalues = np.array([5.0, 2.0, 1.0, 0.5, -0.5, -1.0])
    matrix = tensor(basis * eigenvalues @ basis.T)

    model, optimizer = mlp(3, 4, 1, seed=13), keras.optimizers.SGD(0.1)
    variables = model.trainable_variables
    values = rng.normal(size=(32, 3))
    x, y = tensor(values), tensor(np.sin(values.sum(axis=1, keepdims=True)))
    shapes = [tuple(v.shape) for v in variables]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def loss(parameters):
        weights = [
            ops.reshape(part, shape)
            for part, shape in zip(ops.split(parameters, ends[:-1].tolist()), shapes, strict=True)
        ]
        return ops.mean((model.stateless_call(weights, [], x)[0] - y) ** 2)

    @uk.function
    def step():
        value, gradients = uk.value_and_grad(lambda: ops.mean((model(x) - y) ** 2), variables=variables)()
        optimizer.apply(gradients, variables)
        return value

    curve = [step() for _ in range(steps)]
    parameters = flat([v.value for v in variables])
    of_quadratic = uk.function(lambda v: uk.hvp(lambda z: ops.sum(z * ops.matmul(matrix, z)) / 2, v, v))
    of_network = uk.function(lambda v: uk.hvp(loss, parameters, v))
    hessian = uk.function(uk.hessian(loss))(parameters)
    return outcome(
        loss=curve,
        parameters=parameters,
        hessian=hessian,
        hessian_expected=hessian_in_numpy(ops.convert_to_numpy(parameters), shapes, values),
        quadratic=top_eigenvalue(of_quadratic, 6, 40)[-1],
        quadratic_expected=eigenvalues[0],
        network=top_eigenvalue(of_network, int(ends[-1]), 200)[-1],
        network_expected=np.linalg.eigvalsh(ops.convert_to_numpy(hessian))[-1],
    )


def hessian_in_numpy(parameters: np.ndarray, shapes: list[tuple[int, ...]], x: np.ndarray) -> np.ndarray:
    """The hessian of `curvature`'s loss by second differences in float64."""
    parameters, y = parameters.astype("float64"), np.sin(x.sum(axis=1, keepdims=True))
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def loss(values: np.ndarray) -> float:
        parts = np.split(values, ends[:-1])
        w, b, u, c = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        return float(np.mean((np.tanh(x @ w + b) @ u + c - y) ** 2))

    moves = 1e-4 * np.eye(len(parameters))
    return np.array(
        [
            [
                sum(a * b * loss(parameters + a * first + b * second) for a in (1, -1) for b in (1, -1))
                / (4 * 1e-8)
                for second in moves
            ]
            for first in moves
        ]
    )


APPLICATIONS = (burgers, wgan_gp, maml, explanations, dp_sgd, curvature)
