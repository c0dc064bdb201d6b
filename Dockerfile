# A server of the runs in /runs, as a user who may change nothing: docs/guide/serving.md.
#   docker build -t polyseme .
#   docker run --rm -p 127.0.0.1:8421:8421 -v "$PWD/runs:/runs:ro" polyseme
FROM python:3.11-slim

RUN useradd --uid 10001 --create-home polyseme
COPY . /src
# torch without CUDA; of the server's own extra only what it needs
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu 'torch>=2.10,<2.14' \
 && pip install --no-cache-dir '/src[serve]' \
 && rm -rf /src
# what numba compiles is kept beside the package, where the user may only read: without it each start would compile anew
RUN cd /tmp \
 && polyseme pretrain gpt python-docs --steps 2 -o warm \
 && polyseme generate warm 'It was' --max-new-tokens 4 \
 && rm -rf warm

USER polyseme
WORKDIR /home/polyseme
VOLUME /runs
EXPOSE 8421
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8421/health', timeout=3)"]
# Beyond this machine a token is made and printed with the address; more options behind the image's name are added.
ENTRYPOINT ["sh", "-c", "cd /runs && for f in */run.json; do set -- \"$@\" \"${f%/run.json}\"; done; exec polyseme serve \"$@\" --host 0.0.0.0", "serve"]
