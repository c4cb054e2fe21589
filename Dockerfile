# syntax=docker/dockerfile:1
# A STEP node: Debian's or any other image with Python 3.11, 3.12 or 3.13 will do as the base.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

# The virtual environment is built in a stage of its own, so that pip's cache stays out of the image.
FROM ${BASE_IMAGE} AS build
RUN python3 -m venv /opt/step
WORKDIR /src
# What a node needs, with the packages that tell traces and errors elsewhere, and without the mongod of development.
COPY requirements/image.txt requirements/image.txt
# --no-deps: the pins are complete, and one of them overrides another's wish (docs/adr/0002-dependencies.md).
RUN /opt/step/bin/pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-deps --require-hashes -r requirements/image.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY mesh mesh
COPY consensus consensus
COPY p2p p2p
COPY step_node step_node
# The commit that the image is made of: `--build-arg COMMIT=$(git rev-parse HEAD)`; there is no repository in here.
ARG COMMIT=
RUN STEP_COMMIT=${COMMIT} /opt/step/bin/pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-deps --no-build-isolation .

FROM ${BASE_IMAGE}
ARG VERSION=
ARG COMMIT=
LABEL org.opencontainers.image.title="step-node" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
RUN useradd --create-home --uid 10001 step && install -d -o step -g step /home/step/node
COPY --from=build /opt/step /opt/step
ENV PATH=/opt/step/bin:$PATH PYTHONUNBUFFERED=1
# Inside a container loopback reaches nobody; what is published of it is said by `docker run --publish`.
ENV STEP_API__HOST=0.0.0.0
USER step
WORKDIR /home/step
EXPOSE 8600 26600
# Whether the process is up, and no more: whoever restarts what is unhealthy must not restart a node for its store's sake.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8600/health/live', timeout=4)"]
ENTRYPOINT ["step-node"]
CMD ["start", "--home", "/home/step/node"]
