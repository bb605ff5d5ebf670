"""What stands or moves in a made street scene: cars, persons, trees, poles and signs.

Every painter takes the canvas, the camera, the light, the foot point x, z in metres and the
generator that draws the rest: kind, colour, height, pose.
"""

import math

import numpy as np

from atrous.data.scene_paints import any_paint, car_paint, leaf, metal, skin
from atrous.data.scene_view import CAR, PERSON, POLE, SIGN, TREE, Canvas, Colour, Light, View, mix

__all__ = ["paint_car", "paint_person", "paint_pole", "paint_sign", "paint_tree"]

# (metres from the rear, metres above the ground), from the rear bumper over the roof to the front
_PROFILES = tuple(
    np.array(profile)
    for profile in (
        ((0, 0.3), (0, 0.9), (0.7, 0.98), (1.4, 1.43), (2.6, 1.46), (3.3, 0.98), (4.4, 0.8), (4.5, 0.3)),
        ((0, 0.3), (0, 0.95), (0.4, 1.48), (2.2, 1.52), (2.9, 1.0), (3.8, 0.85), (3.9, 0.3)),
        ((0, 0.3), (0, 1.05), (0.1, 2.1), (3.5, 2.15), (4.3, 1.2), (5.0, 0.95), (5.1, 0.3)),
        ((0, 0.3), (0, 0.95), (0.3, 1.56), (2.9, 1.62), (3.6, 1.04), (4.6, 0.88), (4.7, 0.3)),
    )
)
_HALF = 0.9  # half the width of a car in metres
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 13)), np.sin(np.linspace(0, 2 * np.pi, 13))], -1)


def paint_car(
    canvas: Canvas, view: View, light: Light, x: float, z: float, yaw: float, rng: np.random.Generator
) -> None:
    """Paint a car whose nose points `yaw` radians from straight ahead, positive to the right."""
    profile = _PROFILES[rng.integers(len(_PROFILES))]
    paint = car_paint(rng)
    length = profile[-1, 0]
    along, across = (math.sin(yaw), math.cos(yaw)), (math.cos(yaw), -math.sin(yaw))

    def place(points: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
        """Project points (N, 2) of the profile, `offset` metres right of the car's axis."""
        ahead = points[:, 0] - length / 2
        xs = x + ahead * along[0] + offset * across[0]
        zs = z + ahead * along[1] + offset * across[1]
        return view.project(np.stack([xs, points[:, 1], zs], -1))

    glass = light.seen(mix((30, 36, 44), light.haze, 0.15), z)
    dark = light.seen((22, 22, 24), z)
    order = range(len(profile) - 1)
    order = order if math.cos(yaw) < 0 else reversed(order)
    tyres = np.array([(0.6, 0.0), (0.6, 0.5)]), np.array([(length - 0.6, 0.0), (length - 0.6, 0.5)])
    for end in tyres:
        for inner, outer in ((-_HALF, -0.62), (0.62, _HALF)):
            canvas.fill(CAR, dark, _band(place, end, inner, outer))
    for index in order:
        piece = profile[index : index + 2]
        rise = abs(piece[1, 1] - piece[0, 1])
        run = abs(piece[1, 0] - piece[0, 0])
        gain = (1.12 if light.shadow < 0.8 else 1.0) if run > rise else 0.8
        canvas.fill(CAR, light.seen(paint, z, gain), _band(place, piece, -_HALF, _HALF))
        if rise > 0.3 and piece.min() >= 0 and piece[:, 1].min() > 0.85:
            inset = piece + 0.12 * (piece[::-1] - piece)
            canvas.fill(CAR, glass, _band(place, inset, -0.76, 0.76))
    _paint_car_ends(canvas, light, place, z, length, yaw)
    side = -1.0 if x * across[0] + z * across[1] > 0 else 1.0
    gain = light.side_gain(side * across[0]) if abs(across[0]) > 0.5 else 0.85
    canvas.fill(CAR, light.seen(paint, z, gain), place(profile, side * _HALF))
    cabin = profile[profile[:, 1] > 0.93]
    cabin = cabin if len(cabin) > 3 else np.vstack([profile[1], cabin])
    pane = cabin.mean(0) + (cabin - cabin.mean(0)) * (0.84, 0.7)
    canvas.fill(CAR, glass, place(pane, side * _HALF))
    if view.scale(z) > 9:
        post = np.array([(pane[:, 0].mean(), pane[:, 1].min()), (pane[:, 0].mean(), pane[:, 1].max())])
        canvas.strokes(CAR, light.seen(paint, z, gain), [place(post, side * _HALF)], 0.09 * view.scale(z))
    for axle in (0.8, length - 0.85):
        wheel = _CIRCLE * 0.34 + (axle, 0.34)
        canvas.fill(CAR, dark, place(wheel, side * _HALF))
        canvas.fill(CAR, light.seen((128, 128, 130), z, 0.9), place(_CIRCLE * 0.17 + (axle, 0.34), side * _HALF))


def _band(place, piece: np.ndarray, left: float, right: float) -> np.ndarray:
    return np.vstack([place(piece, left), place(piece, right)[::-1]])


def _paint_car_ends(canvas: Canvas, light: Light, place, z: float, length: float, yaw: float) -> None:
    """Paint lights and number plate on the end that faces the camera."""
    if abs(math.cos(yaw)) < 0.5:
        return
    rear = math.cos(yaw) > 0
    at = -0.01 if rear else length + 0.01
    colour: Colour = (176, 26, 24) if rear else (236, 232, 214)
    lamps = np.array([(at, 0.66), (at, 0.84)])
    canvas.fill(CAR, mix(colour, light.haze, 0.08), _band(place, lamps, -0.82, -0.5))
    canvas.fill(CAR, mix(colour, light.haze, 0.08), _band(place, lamps, 0.5, 0.82))
    plate = np.array([(at, 0.48), (at, 0.6)])
    canvas.fill(CAR, light.seen((205, 205, 200), z), _band(place, plate, -0.26, 0.26))
    bumper = np.array([(at, 0.3), (at, 0.42)])
    canvas.fill(CAR, light.seen((40, 40, 42), z), _band(place, bumper, -0.88, 0.88))


def paint_person(
    canvas: Canvas, view: View, light: Light, x: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a person who stands or walks, seen from any side."""
    tall = rng.uniform(1.55, 1.9) if rng.random() < 0.88 else rng.uniform(1.0, 1.4)
    column, row = view.point(x, 0, z)
    unit = tall * view.scale(z)  # pixels of the whole body
    top, trousers = light.seen(any_paint(rng), z), light.seen(mix(any_paint(rng), (45, 48, 60), 0.6), z)
    flesh, hair = light.seen(skin(rng), z), light.seen(mix((24, 18, 15), (150, 110, 60), rng.random() ** 2), z)
    stride, lean = rng.uniform(-0.13, 0.13), rng.uniform(-0.012, 0.012)

    def at(*points: tuple[float, float]) -> np.ndarray:
        """Return columns and rows of points given in body heights from the foot point."""
        return np.array([(column + px * unit, row - py * unit) for px, py in points])

    for foot, sign in ((stride, -1), (-stride, 1)):
        leg = at((0.045 * sign + lean, 0.49), (0.04 * sign + foot * 0.6, 0.26), (foot + 0.035 * sign, 0.0))
        canvas.strokes(PERSON, trousers, [leg], 0.085 * unit)
    arm = rng.uniform(-0.1, 0.1)
    sleeve = mix(top, (0, 0, 0), 0.2)
    hem = 0.44 if rng.random() < 0.7 else 0.3
    for sign in (-1, 1):
        line = at((0.115 * sign, 0.79), (0.15 * sign, 0.62), (0.14 * sign + arm * sign, 0.47))
        canvas.strokes(PERSON, sleeve, [line], 0.06 * unit)
    torso = at((-0.1, hem), (-0.125, 0.8), (-0.06, 0.835), (0.06, 0.835), (0.125, 0.8), (0.1, hem))
    canvas.fill(PERSON, top, torso)
    sunny = -1 if light.cast[0] > 0 else 1
    shade = at((-0.1 * sunny, hem), (-0.125 * sunny, 0.8), (-0.04 * sunny, 0.82), (-0.02 * sunny, hem))
    canvas.fill(PERSON, mix(top, (0, 0, 0), 0.35 * (1 - light.shadow) + 0.08), shade)
    if rng.random() < 0.25:
        bag = at((-0.075, 0.55), (-0.075, 0.79), (0.075, 0.79), (0.075, 0.55))
        canvas.fill(PERSON, light.seen(any_paint(rng), z, 0.8), bag)
    centre = at((lean, 0.915))[0]
    canvas.ellipse(PERSON, hair, (centre[0], centre[1] - 0.015 * unit), (0.062 * unit, 0.078 * unit))
    canvas.ellipse(PERSON, flesh, (centre[0] + lean * unit, centre[1] + 0.015 * unit), (0.05 * unit, 0.06 * unit))


def paint_tree(
    canvas: Canvas, view: View, light: Light, x: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a broad-leaved tree, a conifer or a bare tree."""
    tall = rng.uniform(4.5, 9.5)
    kind = rng.random()
    column, row = view.point(x, 0, z)
    scale = view.scale(z)
    bark = light.seen(mix((66, 52, 42), (122, 112, 102), rng.random()), z, 0.9)
    stem = 0.45 * tall if kind < 0.8 else 0.85 * tall
    wide = rng.uniform(0.12, 0.24) * scale
    top = row - stem * scale
    trunk = [(column - wide, row), (column - wide * 0.6, top), (column + wide * 0.6, top), (column + wide, row)]
    canvas.fill(TREE, bark, trunk)
    foliage = leaf(rng)
    if kind < 0.72:
        _paint_crown(canvas, light, (column, row), scale, tall, z, foliage, rng)
    elif kind < 0.86:
        _paint_conifer(canvas, light, (column, row), scale, tall, z, foliage, rng)
    else:
        _paint_branches(canvas, (column, row), scale, tall, bark, rng)


def _paint_crown(canvas, light, foot, scale, tall, z, foliage, rng) -> None:
    """Paint a ragged crown, then clumps of leaves that are dark below and bright to the sun."""
    radius = tall * rng.uniform(0.24, 0.34) * scale
    flat = rng.uniform(0.85, 1.25)
    centre = np.array([foot[0], foot[1] - (tall * scale - radius * flat)])
    angles = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    reach = radius * (0.92 + 0.1 * rng.normal(0, 1, 30).clip(-2, 2))
    outline = centre + np.stack([np.cos(angles) * reach, np.sin(angles) * reach * flat], -1)
    canvas.fill(TREE, light.seen(foliage, z, 0.72), outline)
    sun = -np.sign(light.cast[0])
    spots = rng.uniform(-0.62, 0.62, (9, 2))
    spots = spots[np.argsort(-spots[:, 1] + 0.5 * sun * spots[:, 0])]
    for across, up in spots:
        bright = 0.88 - 0.3 * up * (1.3 - light.shadow) + 0.25 * sun * across * (1 - light.shadow)
        clump = centre + (across * radius, up * radius * flat)
        size = radius * rng.uniform(0.2, 0.36)
        canvas.ellipse(TREE, light.seen(foliage, z, bright), tuple(clump), (size, size * 0.8))


def _paint_conifer(canvas, light, foot, scale, tall, z, foliage, rng) -> None:
    width = tall * rng.uniform(0.17, 0.24) * scale
    for level in range(5):
        bottom = foot[1] - tall * scale * (0.14 + 0.16 * level)
        top = foot[1] - tall * scale * min(1.0, 0.5 + 0.16 * level)
        half = width * (1 - 0.17 * level)
        triangle = [(foot[0] - half, bottom), (foot[0], top), (foot[0] + half, bottom)]
        canvas.fill(TREE, light.seen(foliage, z, 0.7 + 0.07 * level), triangle)


def _paint_branches(canvas, foot, scale, tall, bark, rng) -> None:
    """Paint the branches of a bare tree: each forks twice."""
    starts = np.linspace(0.35, 0.85, 9) * tall
    for order, up in enumerate(starts):
        lean = (1 if order % 2 else -1) * rng.uniform(0.5, 1.0)
        reach = (tall - up) * rng.uniform(0.5, 0.8) + 0.4
        root = np.array([foot[0], foot[1] - up * scale])
        tip = root + np.array([lean * reach, -reach * rng.uniform(0.6, 1.0)]) * scale
        canvas.strokes(TREE, bark, [[root, tip]], 0.09 * scale)
        middle = root + (tip - root) * 0.5
        twigs = [[middle, middle + (tip - root) @ turn * 0.5] for turn in _TURNS]
        canvas.strokes(TREE, bark, twigs, 0.05 * scale)


_TURNS = tuple(
    np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    for angle in (-0.7, 0.7)
)


def paint_pole(
    canvas: Canvas, view: View, light: Light, x: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a street lamp, a telegraph pole or a bollard."""
    kind = rng.random()
    column, row = view.point(x, 0, z)
    scale = view.scale(z)
    colour = light.seen(metal(rng), z, rng.uniform(0.8, 1.0))
    tall = rng.uniform(4.5, 7.5) if kind < 0.85 else rng.uniform(0.9, 1.2)
    wide = rng.uniform(0.14, 0.2) * scale
    top = row - tall * scale
    canvas.strokes(POLE, colour, [[(column, row), (column, top)]], wide)
    if kind < 0.6:
        reach = -math.copysign(rng.uniform(0.9, 1.8), x) * scale
        canvas.strokes(POLE, colour, [[(column, top), (column + reach, top - 0.25 * scale)]], 0.6 * wide)
        head = (column + reach, top - 0.2 * scale)
        canvas.ellipse(POLE, light.seen((190, 190, 180), z), head, (0.32 * scale, 0.12 * scale))
    elif kind < 0.75:
        canvas.ellipse(POLE, light.seen((215, 212, 200), z), (column, top), (0.24 * scale, 0.24 * scale))
    elif kind < 0.85:
        arms = [[(column - 0.8 * scale, top + up * scale), (column + 0.8 * scale, top + up * scale)] for up in (0.3, 0.8)]
        canvas.strokes(POLE, colour, arms, 0.7 * wide)


def paint_sign(
    canvas: Canvas, view: View, light: Light, x: float, z: float, rng: np.random.Generator
) -> None:
    """Paint a traffic sign: a post, which is a pole, and a plate of one of six kinds."""
    column, row = view.point(x, 0, z)
    scale = view.scale(z)
    size = rng.uniform(0.38, 0.56) * scale  # half the plate
    top = row - rng.uniform(2.3, 3.0) * scale
    post = light.seen(metal(rng), z, 0.95)
    canvas.strokes(POLE, post, [[(column, row), (column, top - size)]], 0.12 * scale)
    _paint_plate(canvas, light, (column, top), size, z, rng)


def _paint_plate(canvas, light, centre, size, z, rng) -> None:
    def shape(outline: np.ndarray, share: float) -> np.ndarray:
        return np.array(centre) + outline * (size * share)

    kind = rng.integers(6)
    if kind == 5:
        _paint_board(canvas, light, centre, size, z, rng)
        return
    outline, rim, face = _PLATES[kind]
    canvas.fill(SIGN, light.seen(rim, z, 0.95), shape(outline, 1.0))
    canvas.fill(SIGN, light.seen(face, z, 0.95), shape(outline, 0.74))
    if size > 4:
        mark = mix(face, (20, 20, 20) if sum(face) > 360 else (240, 240, 240), 0.85)
        bar = np.array([(-0.4, -0.13), (0.4, -0.13), (0.4, 0.13), (-0.4, 0.13)])
        canvas.fill(SIGN, light.seen(mark, z), shape(bar if rng.random() < 0.5 else bar[:, ::-1], 1.0))


def _paint_board(canvas, light, centre, size, z, rng) -> None:
    """Paint a direction board with lines of lettering."""
    wide, tall = size * rng.uniform(1.3, 2.0), size * rng.uniform(0.7, 1.1)
    face = ((30, 80, 150), (28, 110, 70), (225, 222, 214), (226, 186, 50))[rng.integers(4)]
    ink = (238, 238, 234) if sum(face) < 360 else (30, 30, 34)
    left, top = centre[0] - wide, centre[1] - tall
    box = np.array([(0, 0), (2 * wide, 0), (2 * wide, 2 * tall), (0, 2 * tall)])
    canvas.fill(SIGN, light.seen(ink, z), box + (left, top))
    rim = min(0.1 * size, 1.5)
    canvas.fill(SIGN, light.seen(face, z), np.clip(box, rim, (2 * wide - rim, 2 * tall - rim)) + (left, top))
    lines = [
        [(left + 0.3 * wide, top + tall * share), (left + wide * rng.uniform(1.0, 1.7), top + tall * share)]
        for share in (0.55, 1.0, 1.45)
    ]
    canvas.strokes(SIGN, light.seen(ink, z), lines, 0.16 * tall)


_DISC = _CIRCLE[:-1]
_DIAMOND = np.array([(0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0)])
_TRIANGLE = np.array([(0, -1.1), (1.1, 0.85), (-1.1, 0.85)])
_OCTAGON = np.array([(math.cos(a), math.sin(a)) for a in np.pi / 8 + np.arange(8) * np.pi / 4]) * 1.05
_PLATES: tuple[tuple[np.ndarray, Colour, Colour], ...] = (
    (_DISC, (186, 30, 34), (232, 230, 224)),
    (_DISC, (232, 232, 230), (34, 84, 164)),
    (_TRIANGLE, (186, 32, 34), (232, 230, 222)),
    (_DIAMOND, (234, 232, 226), (232, 184, 40)),
    (_OCTAGON, (232, 230, 226), (180, 30, 34)),
)
