# The official image and the one package it lacks. Built once, so that a start needs no network and every
# container runs the same. queue_job names "odoo" as a dependency, which no index has: --no-deps.
FROM odoo:17.0
USER root
COPY requirements.txt /tmp/requirements.txt
RUN pip3 install --no-cache-dir --no-deps -r /tmp/requirements.txt && rm /tmp/requirements.txt
USER odoo
