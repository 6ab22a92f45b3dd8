# Training on a GPU with EGL rendering, or on CPUs alone (the CUDA build of torch runs there too).
#   docker build -t dreamer-bench .
#   docker run --gpus all -v "$PWD/runs:/runs" dreamer-bench run dmc-1m@1 --agents dreamer --runs /runs --device cuda
# This file has not been built in the project's own CI, which has no Docker daemon.
FROM python:3.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends git libegl1 libgl1 libglvnd0 \
 && rm -rf /var/lib/apt/lists/*
# The driver's EGL comes from the NVIDIA container runtime; this line tells GLVND about it.
RUN mkdir -p /usr/share/glvnd/egl_vendor.d \
 && printf '{"file_format_version":"1.0.0","ICD":{"library_path":"libEGL_nvidia.so.0"}}\n' > /usr/share/glvnd/egl_vendor.d/10_nvidia.json
ENV NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility MUJOCO_GL=egl PYTHONUNBUFFERED=1
# A git checkout, not only the files: records name the commit that made them.
COPY . /dreamer-bench
RUN pip install --no-cache-dir -c /dreamer-bench/constraints.txt --editable "/dreamer-bench[train,dmc,atari,tensorboard,wandb]"
WORKDIR /work
ENTRYPOINT ["dreamer-bench"]
CMD ["doctor"]
