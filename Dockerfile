# The image of `pullquote serve`: docker build --tag pullquote .
# With --build-arg EXTRAS=openvino the encoder computes in bfloat16 where the processor can, for 180 MB more.
# torch and sentence-transformers end with the first stage: it exports the encoder. What serves is the export, an
# environment and an interpreter on an empty root: no shell, no package manager. Every state is in /data.
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV HF_HUB_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_DEPS=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# torch comes first and from where its CPU build is: the one on PyPI brings gigabytes of CUDA libraries.
# It is also the largest part and changes least, so a change of the source finds this layer made.
COPY .ci/torch.lock .ci/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --only-binary=:all: --index-url "$TORCH_INDEX" --requirement .ci/torch.lock

COPY .ci/build.lock .ci/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --require-hashes --only-binary=:all: --requirement .ci/build.lock

# The environment that serves, without pip, with the extra that is asked for.
ARG EXTRAS=
COPY .ci/image.lock .ci/image-openvino.lock .ci/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/pullquote/venv \
    && pip --python /opt/pullquote/venv/bin/python install --no-compile --require-hashes --only-binary=:all: \
        --requirement .ci/image.lock ${EXTRAS:+--requirement ".ci/image-$EXTRAS.lock"}

COPY pyproject.toml README.md LICENSE ./
COPY corpus corpus
COPY index index
COPY service service
RUN pip wheel --no-build-isolation --no-index --wheel-dir dist . \
    && pip install --no-index dist/*.whl \
    && pip --python /opt/pullquote/venv/bin/python install --no-compile --no-index dist/*.whl
RUN pullquote export-model /opt/pullquote/encoder

# Whatever the modes of the checkout were, any user can read what is copied from here.
COPY .ci/slim.py .ci/root.py .ci/
RUN python .ci/slim.py /opt/pullquote/venv \
    && cp -R corpus/texts /opt/pullquote/texts \
    && python .ci/root.py /opt/root \
    && chmod -R a+rX,go-w /opt/pullquote /opt/root/usr /opt/root/etc /opt/root/var


FROM scratch
LABEL org.opencontainers.image.title="Pullquote" \
      org.opencontainers.image.description="Ask your documents; get the quote." \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/root /
COPY --from=build /opt/pullquote/encoder /opt/pullquote/encoder
COPY --from=build /opt/pullquote/venv /opt/pullquote/venv
COPY --from=build /opt/pullquote/texts /opt/pullquote/texts

# HOME: a user named by number has none. PYTHONSAFEPATH: the working folder holds data, nothing to import.
# ORT_DISABLE_TELEMETRY: ONNX Runtime else keeps a device id and reports to its maker, from its import on.
ENV PATH=/opt/pullquote/venv/bin:/usr/local/bin \
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

# Whatever is missing is missed here: it reads the texts, encodes them and builds an index, which is thrown away.
RUN --mount=type=tmpfs,target=/data --mount=type=tmpfs,target=/tmp ["pullquote", "index"]

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
