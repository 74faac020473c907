#!/usr/bin/env bash
# Slurm on this machine as its only node, for the tests: needs root, slurm-wlm and
# munge.
#
#   tests/launchers/local_slurm.sh start DIR   # DIR: new, its path short
#   export SLURM_CONF=DIR/slurm.conf
#   tests/launchers/local_slurm.sh stop DIR
#
# Everything that the daemons write lies under DIR; ports are free ones.
set -euo pipefail

fail() {
  echo "local_slurm.sh: $*" >&2
  exit 1
}

# Ends a daemon by the id that it wrote, and waits until it is gone.
end() {
  local file=$1 signal pid
  [ -s "$file" ] || return 0
  pid=$(cat "$file")
  for signal in TERM KILL; do
    kill "-$signal" "$pid" 2>/dev/null || break
    for _ in $(seq 50); do
      kill -0 "$pid" 2>/dev/null || break 2
      sleep 0.1
    done
  done
  rm -f "$file"
}

stop() {
  end "$dir/slurmd.pid"
  end "$dir/slurmctld.pid"
  end "$dir/munged.pid"
}

start() {
  local program
  for program in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
      fail "$program is missing (apt-get install slurm-wlm munge)"
  done
  [ "$(id -u)" = 0 ] || fail "needs root"
  mkdir -p "$dir"/{state,spool,munge}
  chmod 700 "$dir/munge"
  chmod 755 "$dir"
  dd if=/dev/urandom of="$dir/munge/key" bs=128 count=1 status=none
  chmod 600 "$dir/munge/key"
  # The socket's folder must be open to all, the key's to nobody else.
  mkdir -p "$dir/socket"
  chmod 755 "$dir/socket"
  /usr/sbin/munged --force --key-file="$dir/munge/key" \
    --socket="$dir/socket/munge" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" \
    --num-threads=2 || fail "munged does not start: $dir/munge/log"

  local ports host
  ports=$(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets:
  one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
  host=$(hostname -s)
  # cred_expire is also how long a requeued job waits: 120 s if not said.
  cat >"$dir/slurm.conf" <<CONF
ClusterName=memo
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
AuthType=auth/munge
AuthInfo=socket=$dir/socket/munge,cred_expire=15
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF
  export SLURM_CONF=$dir/slurm.conf
  /usr/sbin/slurmctld -c -f "$SLURM_CONF" || fail "slurmctld does not start: $dir/slurmctld.log"
  /usr/sbin/slurmd -f "$SLURM_CONF" || fail "slurmd does not start: $dir/slurmd.log"
  for _ in $(seq 200); do
    if sinfo --noheader --format=%t 2>/dev/null | grep -q '^\(idle\|mix\|alloc\)$'; then
      echo "export SLURM_CONF=$SLURM_CONF"
      return 0
    fi
    sleep 0.1
  done
  tail -n 5 "$dir"/slurm*.log >&2
  fail "the node is not up after 20 s"
}

[ $# = 2 ] || fail "give: start DIR, or stop DIR"
dir=$(mkdir -p "$2" && cd "$2" && pwd)
case $1 in
  start)
    start || { stop; exit 1; }
    ;;
  stop) stop ;;
  *) fail "give: start DIR, or stop DIR" ;;
esac
