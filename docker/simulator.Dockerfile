# The simulated marketplaces, and the script that fills the demo.
FROM python:3.12-slim
RUN pip install --no-cache-dir Flask==3.0.3 requests==2.31.0 tzdata \
    && useradd --create-home simulator \
    && install -d -o simulator /data
USER simulator
WORKDIR /app
