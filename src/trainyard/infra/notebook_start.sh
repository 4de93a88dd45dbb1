#!/bin/bash
# Brings back an earlier instance's files; copies what is new, and stops the instance once idle.
set -eu
mkdir -p /opt/trainyard
cat >/opt/trainyard/idle.py <<'PYTHON'
@IDLE@
PYTHON
cat >/opt/trainyard/keep <<'KEEP'
set -eu
home=/home/ec2-user/SageMaker
copy() { aws s3 sync --no-progress --only-show-errors --region @REGION@ "$@"; }
if [ ! -e $home/.trainyard ]; then
  copy @PLACE@ $home || true
  touch $home/.trainyard
  chown -R ec2-user:ec2-user $home
fi
copy $home @PLACE@ --no-follow-symlinks --exclude '.trainyard' --exclude 'lost+found/*' \
  --exclude '*.ipynb_checkpoints/*' --exclude 'amazon-sagemaker-examples/*' || true
name=$(python3 /opt/trainyard/idle.py @IDLE_MINUTES@)
[ -z "$name" ] || aws sagemaker stop-notebook-instance --region @REGION@ --notebook-instance-name "$name"
KEEP
systemctl stop trainyard.timer 2>/dev/null || true
systemd-run --unit=trainyard --on-active=60 --on-unit-inactive=300 /bin/bash /opt/trainyard/keep
