# The image of `pullquote serve`: docker build --tag pullquote .
# With --build-arg EXTRAS=openvino the encoder computes in bfloat16 where the processor can, for 180 MB more.
# torch and sentence-transformers end with the first stage: it exports the encoder, and what serves is the
# export and a plain environment. Every state is in /data, so the root file system can be read-only.
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV HF_HUB_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# torch comes first and from where its CPU build is: the one on PyPI brings gigabytes of CUDA libraries.
# It is also the largest part and changes least, so a change of the source finds this layer made.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --index-url "$TORCH_INDEX" torch==2.13.0

COPY .ci/requirements.lock .ci/
COPY pyproject.toml README.md LICENSE ./
COPY corpus corpus
COPY index index
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint .ci/requirements.lock hatchling \
    && pip wheel --no-deps --no-build-isolation --wheel-dir dist .

# The environment that serves, without pip, with the extras that are asked for. Bytecode is made here, because a read-only root never keeps any,
# and it never looks at file times, because copies of an image need not keep those.
ARG EXTRAS=
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/pullquote/venv \
    && pip --python /opt/pullquote/venv/bin/python install --no-compile --constraint .ci/requirements.lock "$(echo dist/*.whl)${EXTRAS:+[$EXTRAS]}" \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pullquote/venv/lib

RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint .ci/requirements.lock "$(echo dist/*.whl)[build]"
RUN pullquote export-model /opt/pullquote/encoder

# Whatever the modes of the checkout were, any user can read what is copied from here.
RUN cp -R corpus/texts /opt/pullquote/texts && chmod -R a+rX,go-w /opt/pullquote


FROM ${PYTHON}
LABEL org.opencontainers.image.title="Pullquote" \
      org.opencontainers.image.description="Ask your documents; get the quote." \
      org.opencontainers.image.licenses="Apache-2.0"

# The base image ships its standard library without bytecode.
# /data is open to any user, as `docker run --user` may name one; a new volume takes this mode over.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(site-packages|ensurepip|idlelib|lib2to3|turtledemo|test|tests)/' /usr/local/lib/python3.11 \
    && mkdir --mode=1777 /data

COPY --from=build /opt/pullquote/encoder /opt/pullquote/encoder
COPY --from=build /opt/pullquote/venv /opt/pullquote/venv
COPY --from=build /opt/pullquote/texts /opt/pullquote/texts

# HOME: a user named by number has none. PYTHONSAFEPATH: the working folder holds data, nothing to import.
# ORT_DISABLE_TELEMETRY: ONNX Runtime else keeps a device id and reports to its maker, from its import on.
ENV PATH=/opt/pullquote/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    TOKENIZERS_PARALLELISM=false \
    PULLQUOTE_MODEL=/opt/pullquote/encoder \
    PULLQUOTE_CORPUS=/opt/pullquote/texts \
    PULLQUOTE_DATA=/data \
    PULLQUOTE_HOST=0.0.0.0 \
    PULLQUOTE_PORT=8000 \
    PULLQUOTE_LOG_FORMAT=json

# A pullquote.toml put here is read.
WORKDIR /data
VOLUME ["/data"]
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as url; url.urlopen('http://127.0.0.1:' + os.environ['PULLQUOTE_PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["pullquote"]
CMD ["serve"]
