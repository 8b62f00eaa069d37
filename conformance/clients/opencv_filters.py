"""OpenCV's functions over OpenCL (UMat) against the same functions without (Mat): a line `NAME passed|FAILED ...` each.

Run inside the root by suites.py. A row is a function, its input and by how much an element may be off: functions that
divide or interpolate may round a tie the other way, floats are added up in another order.
"""
import sys

import cv2
import numpy as np

RNG = np.random.default_rng(7)
WIDTH, HEIGHT = 97, 61
ONES = np.ones((3, 3), np.uint8)
SHARPEN = np.float32([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
AFFINE = np.float32([[1, .2, 3], [-.1, 1.1, 2]])
PERSPECTIVE = np.float32([[1, .2, 3], [-.1, 1.1, 2], [1e-3, 1e-4, 1]])
SHIFT = np.float32([[1, 0, 2], [0, 1, 1]])


def picture(kind, channels=1):
    noise = RNG.integers(0, 256, (HEIGHT, WIDTH, channels)).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (5, 5), 1.5).reshape(HEIGHT, WIDTH, channels).astype(np.float32)
    return (smooth * (257 if kind == np.uint16 else 1)).astype(kind).squeeze()


GRAY, BGR, BGRA = picture(np.uint8), picture(np.uint8, 3), picture(np.uint8, 4)
FLOAT, WORDS = picture(np.float32), picture(np.uint16)
EVEN = BGR[:60, :96].copy()
YUV = RNG.integers(16, 235, (90, 96)).astype(np.uint8)
MATRIX, OTHER = RNG.normal(size=(40, 30)).astype(np.float32), RNG.normal(size=(30, 50)).astype(np.float32)


def like(x, array):
    """`array` where x is: on the device or not."""
    return cv2.UMat(array.copy()) if isinstance(x, cv2.UMat) else array.copy()


def turned(x):
    return cv2.flip(x, -1)


def moved(x):
    return cv2.warpAffine(x, SHIFT, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def farneback(x):
    flow = cv2.calcOpticalFlowFarneback(x, moved(x), None, .5, 2, 9, 2, 5, 1.1, 0)
    flow = flow.get() if isinstance(flow, cv2.UMat) else flow
    return flow[10:-10, 10:-10]  # the two treat the border differently


def background(x):
    model = cv2.createBackgroundSubtractorMOG2()
    model.apply(x)
    return model.apply(turned(x))


ROWS = {
    # --- filters
    "gaussian": (lambda x: cv2.GaussianBlur(x, (7, 7), 2), BGR, 1),
    "gaussian_float": (lambda x: cv2.GaussianBlur(x, (7, 7), 2), FLOAT, 1e-3),
    "blur": (lambda x: cv2.blur(x, (5, 3)), BGRA, 1),
    "box_float": (lambda x: cv2.boxFilter(x, -1, (5, 5)), FLOAT, 1e-3),
    "median3": (lambda x: cv2.medianBlur(x, 3), GRAY, 0),
    "median5": (lambda x: cv2.medianBlur(x, 5), GRAY, 0),
    "bilateral": (lambda x: cv2.bilateralFilter(x, 5, 50, 50), BGR, 1),
    "denoise": (lambda x: cv2.fastNlMeansDenoising(x, None, 5, 3, 7), GRAY, 1),
    "sobel": (lambda x: cv2.Sobel(x, cv2.CV_16S, 1, 0), GRAY, 0),
    "scharr": (lambda x: cv2.Scharr(x, cv2.CV_32F, 0, 1), GRAY, 0),
    "laplacian": (lambda x: cv2.Laplacian(x, cv2.CV_16S, ksize=3), GRAY, 0),
    "filter2d": (lambda x: cv2.filter2D(x, -1, SHARPEN), BGR, 0),
    "separable": (lambda x: cv2.sepFilter2D(x, cv2.CV_32F, np.float32([1, 2, 1]), np.float32([1, 0, -1])), FLOAT, 1e-2),
    "erode": (lambda x: cv2.erode(x, np.ones((5, 3), np.uint8)), BGR, 0),
    "dilate_float": (lambda x: cv2.dilate(x, ONES, iterations=2), FLOAT, 0),
    "gradient": (lambda x: cv2.morphologyEx(x, cv2.MORPH_GRADIENT, ONES), GRAY, 0),
    # --- geometry
    "resize_linear": (lambda x: cv2.resize(x, (150, 40)), BGR, 1),
    "resize_area": (lambda x: cv2.resize(x, (40, 30), interpolation=cv2.INTER_AREA), BGR, 1),
    "resize_nearest": (lambda x: cv2.resize(x, (150, 40), interpolation=cv2.INTER_NEAREST), BGR, 0),
    "resize_float": (lambda x: cv2.resize(x, (150, 40)), FLOAT, .1),
    "affine": (lambda x: cv2.warpAffine(x, AFFINE, (90, 70)), BGR, 1),
    "affine_nearest": (lambda x: cv2.warpAffine(x, AFFINE, (90, 70), flags=cv2.INTER_NEAREST), BGR, 0),
    "affine_cubic": (lambda x: cv2.warpAffine(x, AFFINE, (90, 70), flags=cv2.INTER_CUBIC), BGR, 2),
    "perspective": (lambda x: cv2.warpPerspective(x, PERSPECTIVE, (90, 70)), BGR, 2),
    "pyramid_down": (lambda x: cv2.pyrDown(x), BGR, 1),
    "pyramid_up": (lambda x: cv2.pyrUp(x), BGR, 1),
    "transpose": (lambda x: cv2.transpose(x), BGR, 0),
    "flip": (turned, BGRA, 0),
    "repeat": (lambda x: cv2.repeat(x, 2, 3), BGR, 0),
    "border": (lambda x: cv2.copyMakeBorder(x, 3, 4, 5, 6, cv2.BORDER_REFLECT_101), BGR, 0),
    # --- colours
    "to_gray": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2GRAY), BGR, 1),
    "to_hsv": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2HSV), BGR, 1),
    "to_hls": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2HLS), BGR, 1),
    "to_lab": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2Lab), BGR, 2),
    "to_luv": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2Luv), BGR, 2),
    "to_ycrcb": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2YCrCb), BGR, 1),
    "to_yv12": (lambda x: cv2.cvtColor(x, cv2.COLOR_BGR2YUV_YV12), EVEN, 1),
    "from_nv12": (lambda x: cv2.cvtColor(x, cv2.COLOR_YUV2BGR_NV12), YUV, 1),
    "from_i420": (lambda x: cv2.cvtColor(x, cv2.COLOR_YUV2BGR_I420), YUV, 1),
    # --- arithmetic
    "add": (lambda x: cv2.add(x, x), BGR, 0),
    "multiply_float": (lambda x: cv2.multiply(x, x), FLOAT, .1),
    "divide": (lambda x: cv2.divide(x, turned(x)), WORDS, 1),
    "absdiff": (lambda x: cv2.absdiff(x, turned(x)), BGR, 0),
    "xor": (lambda x: cv2.bitwise_xor(x, turned(x)), BGRA, 0),
    "weighted": (lambda x: cv2.addWeighted(x, .3, turned(x), .7, 3), BGR, 1),
    "scale_abs": (lambda x: cv2.convertScaleAbs(x, alpha=1.3, beta=-20), BGR, 1),
    "power": (lambda x: cv2.pow(x, 1.7), FLOAT, 2),
    "root": (lambda x: cv2.sqrt(x), FLOAT, 1e-3),
    "exponential": (lambda x: cv2.exp(cv2.multiply(x, .01)), FLOAT, 1e-3),
    "logarithm": (lambda x: cv2.log(cv2.add(x, 1.0)), FLOAT, 1e-3),
    "phase": (lambda x: cv2.phase(x, turned(x)), FLOAT, .1),
    "magnitude": (lambda x: cv2.magnitude(x, turned(x)), FLOAT, 1e-2),
    "product": (lambda x: cv2.gemm(x, like(x, OTHER), 1.5, None, 0), MATRIX, 1e-3),
    "fourier": (lambda x: cv2.dft(x, flags=cv2.DFT_COMPLEX_OUTPUT), FLOAT, 2),
    "look_up": (lambda x: cv2.LUT(x, like(x, np.arange(255, -1, -1, dtype=np.uint8))), BGR, 0),
    "threshold": (lambda x: cv2.threshold(x, 120, 255, cv2.THRESH_TRUNC)[1], GRAY, 0),
    "in_range": (lambda x: cv2.inRange(x, (50, 60, 70), (200, 210, 220)), BGR, 0),
    "normalize": (lambda x: cv2.normalize(x, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F), GRAY, 1e-3),
    # --- sums
    "integral": (lambda x: cv2.integral(x), GRAY, 0),
    "reduce": (lambda x: cv2.reduce(x, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S), GRAY, 0),
    "norm": (lambda x: np.float64([cv2.norm(x, cv2.NORM_L2)]), GRAY, 1e-2),
    "min_max": (lambda x: np.float64(cv2.minMaxLoc(x)[:2]), FLOAT, 0),
    "count": (lambda x: np.float64([cv2.countNonZero(x)]), GRAY, 0),
    "sum": (lambda x: np.float64(cv2.sumElems(x)), BGR, 0),
    "histogram": (lambda x: cv2.calcHist([x], [0], None, [256], [0, 256]), GRAY, 0),
    "equalize": (lambda x: cv2.equalizeHist(x), GRAY, 0),
    "clahe": (lambda x: cv2.createCLAHE(2.0, (4, 4)).apply(x), GRAY, 1),
    # --- features
    "match": (lambda x: cv2.matchTemplate(x, like(x, GRAY[10:25, 20:40]), cv2.TM_CCOEFF_NORMED), GRAY, 2e-3),
    "harris": (lambda x: cv2.cornerHarris(x, 3, 3, .04), GRAY, 1e-3),
    "corners": (lambda x: cv2.goodFeaturesToTrack(x, 20, .01, 5), GRAY, 0),
    "optical_flow": (lambda x: cv2.calcOpticalFlowPyrLK(x, moved(x), np.float32([[[30, 30]], [[50, 20]]]), None)[0], GRAY, .2),
    "farneback": (farneback, GRAY, 1e-2),
    "background": (background, BGR, 0),
}


def run(function, picture_, on_device):
    cv2.ocl.setUseOpenCL(on_device)
    result = function(cv2.UMat(picture_.copy()) if on_device else picture_.copy())
    return np.asarray(result.get() if isinstance(result, cv2.UMat) else result).astype(np.float64)


def main():
    cv2.ocl.setUseOpenCL(True)
    if not cv2.ocl.useOpenCL():
        sys.exit("OpenCV finds no OpenCL device")
    for name, (function, picture_, off) in ROWS.items():
        try:
            plain, there = run(function, picture_, False), run(function, picture_, True)
            right = plain.shape == there.shape and np.abs(plain - there).max() <= off
            said = f"off by {np.abs(plain - there).max():g} of {off}" if plain.shape == there.shape else "another shape"
        except cv2.error as error:
            right, said = False, str(error).replace("\n", " ")
        print(f"{name} {'passed' if right else 'FAILED'} {said}", flush=True)


main()
