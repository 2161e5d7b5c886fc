# The one recipe of every image:
#   docker build --build-arg DEPLOYABLE=identity --tag gatehouse-identity .
# DEPLOYABLE is identity, token, notify, audit or gateway. Behind a package mirror add
#   --secret id=pip_conf,src=$HOME/.config/pip/pip.conf
# which is read while the packages are installed and stays out of every layer.

ARG BASE_IMAGE=python:3.13-slim
ARG DEPLOYABLE

FROM ${BASE_IMAGE} AS environment
ARG DEPLOYABLE
COPY requirements/${DEPLOYABLE}.txt /requirements.txt
# Only wheels: no foreign setup code runs.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python --disable-pip-version-check install \
      --no-cache-dir --only-binary=:all: --no-deps --require-hashes --requirement /requirements.txt

# The gateway's hop becomes machine code here (docs/adr/0030); the compiler stays behind.
FROM environment AS compiled
COPY requirements/compile.txt /compile.txt
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python -m pip --python /opt/venv/bin/python --disable-pip-version-check install \
      --no-cache-dir --only-binary=:all: --no-deps --require-hashes --requirement /compile.txt
WORKDIR /source
COPY pyproject.toml ./
COPY scripts/compile.py scripts/
COPY contracts/ contracts/
COPY chassis/ chassis/
COPY gateway/ gateway/
RUN /opt/venv/bin/python scripts/compile.py /compiled

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="Gatehouse" org.opencontainers.image.licenses="MIT"
# The root file system is read-only where this runs: nothing is compiled or cached at run time.
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
RUN rm -rf /usr/local/lib/python3.*/site-packages/pip* /usr/local/bin/pip*
COPY --from=environment /opt/venv /opt/venv
COPY contracts/ contracts/
COPY chassis/ chassis/

FROM runtime AS identity
COPY services/__init__.py services/
COPY services/identity/ services/identity/
ENTRYPOINT ["python", "-m", "services.identity"]

FROM runtime AS token
COPY services/__init__.py services/
COPY services/token/ services/token/
ENTRYPOINT ["python", "-m", "services.token"]

FROM runtime AS notify
COPY services/__init__.py services/
COPY services/notify/ services/notify/
ENTRYPOINT ["python", "-m", "services.notify"]

FROM runtime AS audit
COPY services/__init__.py services/
COPY services/audit/ services/audit/
# A fresh volume takes the owner of the folder that it is mounted over.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/gatehouse/archive
ENTRYPOINT ["python", "-m", "services.audit"]

FROM runtime AS gateway
COPY --from=compiled /compiled/*.so ./
COPY --from=compiled /compiled/chassis/ chassis/
COPY --from=compiled /compiled/gateway/ gateway/
ENTRYPOINT ["python", "-m", "gateway"]

# hadolint ignore=DL3006 # a stage above, not an image
FROM ${DEPLOYABLE}
RUN python -m compileall -q /app
USER 10001:10001
