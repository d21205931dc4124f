# The image for docker and kubernetes work pools: docker build -t msearch .
# With an NVIDIA GPU:                             docker build -t msearch:gpu --build-arg EXTRAS=s3,gpu .
FROM python:3.12-slim-bookworm

ARG EXTRAS=s3
ENV PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30

RUN useradd --create-home --uid 1000 msearch
COPY --chown=msearch pyproject.toml README.md LICENSE prefect.yaml /src/
COPY --chown=msearch flows /src/flows
COPY --chown=msearch msearch_core /src/msearch_core
COPY --chown=msearch search_spaces /src/search_spaces
RUN pip install --no-cache-dir "/src[${EXTRAS}]"

# By its number: kubernetes' runAsNonRoot cannot tell that a name is not root's.
USER 1000
WORKDIR /home/msearch
CMD ["msearch", "--help"]
