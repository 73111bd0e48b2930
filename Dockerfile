# Written but not built yet: no Docker was at hand. Two targets, for processors and for CUDA:
#
#   docker build --target cpu  --build-arg TORCH_OPTIONS="OPTIONS FOR CPUS" -t llama-tools .
#   docker build --target cuda --build-arg TORCH_OPTIONS="OPTIONS FOR YOUR CUDA" -t llama-tools .
#   docker run --rm --gpus all -v ~/models:/models -v ~/runs:/runs llama-tools doctor
#
# TORCH_OPTIONS are pip's for torch alone and say where its build is; without them pip takes its default.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS cpu
ARG TORCH_OPTIONS=""
WORKDIR /llama-tools
COPY . .
# torch first, as `make install` does: a package that wants any torch would bring another build.
RUN pip install --no-cache-dir ${TORCH_OPTIONS} "$(grep '^torch==' requirements.txt)" \
    && pip install --no-cache-dir -r requirements.txt
ENTRYPOINT ["llama-tools"]

FROM cpu AS cuda
# Triton compiles what starts its kernels.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
