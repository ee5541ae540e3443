# The image of compose.yaml: Marquee with everything it needs on a CPU. NOT RUN in this project's tests.
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE prefect.yaml ./
COPY constraints constraints
COPY evaluation evaluation
COPY expectations expectations
COPY serving serving
COPY marquee marquee
COPY flows flows
COPY models models
COPY storage storage
COPY tasks tasks
# Editable: `prefect deploy` and the worker run in /app, where prefect.yaml is.
RUN pip install --no-cache-dir -c constraints/python3.11.txt -e . \
    && useradd --create-home --uid 1000 marquee \
    && install -d -o marquee /data

USER marquee
ENV MARQUEE_HOME=/data
VOLUME /data
