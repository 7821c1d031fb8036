#!/usr/bin/env bash
# A chat in the terminal with curl and nothing else: it follows an event stream and publishes by POST.
#
#     ./chat.sh NAME [ROOM] [URL]
#
# Each line that is typed is said to all in the room; `/msg NAME TEXT` goes to one person only, with quotes around a name that
# has spaces. Ctrl-D leaves. It needs curl 7.87, bash 4.4, awk, grep, od and sed.
set -u
export LC_ALL=C.UTF-8
name=${1?who are you?} room=room:${2-1} url=${3-http://127.0.0.1:8080}
session=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # of all attachments of one session the newest is served
declare -A here

# What the gateway says about itself and others is JSON of one shape: a text is what stands between quotes. Nothing of it
# may steer the terminal.
text='"([^"\\]|\\.)*"'
plain() {
  LC_ALL=C awk '
    function hex(digits, i, n) { for (i = 1; i <= 4; i++) n = n * 16 + index("123456789abcdef", tolower(substr(digits, i, 1))); return n }
    function tail(n) { return sprintf("%c", 128 + int(n) % 64) }
    function utf8(n) {
      if (n < 32 || (n > 126 && n < 160)) return "?"
      if (n < 128) return sprintf("%c", n)
      if (n < 2048) return sprintf("%c", 192 + int(n / 64)) tail(n)
      if (n < 65536) return sprintf("%c", 224 + int(n / 4096)) tail(n / 64) tail(n)
      return sprintf("%c", 240 + int(n / 262144)) tail(n / 4096) tail(n / 64) tail(n)
    }
    {
      rest = /^"/ ? substr($0, 2, length($0) - 2) : $0; said = ""
      while (/^"/ && (i = index(rest, "\\"))) {
        said = said substr(rest, 1, i - 1); c = substr(rest, i + 1, 1); rest = substr(rest, i + 2)
        if (c == "u") {
          n = hex(rest); rest = substr(rest, 5)
          if (n >= 55296 && n < 56320) { n = 65536 + (n - 55296) * 1024 + hex(substr(rest, 3)) - 56320; rest = substr(rest, 7) }
          said = said utf8(n)
        } else said = said (c ~ /[nrtbf]/ ? " " : c)
      }
      said = said rest; gsub(/\302[\200-\237]|[\001-\037\177]/, "?", said); print said
    }'
}
member() { grep -oE "\"$1\":$text" <<<"$2" | head -n 1 | sed -E "s/^\"$1\"://" | plain; }
number() { grep -oE "\"$1\":[0-9]+" <<<"$2" | tail -n 1 | grep -oE '[0-9]+$'; }
users() { grep -oE "\"user\":$text" <<<"$1" | sed 's/^"user"://' | plain; }
get() { curl -sS --max-time 10 --get --data-urlencode "user=$name" "$@"; }

# Who is here. The cursor says where to follow what changes from, and only the first page's counts.
ask_who_is_here() {
  local page after=() user first=
  here=()
  while :; do
    page=$(get "$url/v1/presence?channel=$room&limit=1000" "${after[@]}") || return
    first=${first:-$page}
    while IFS= read -r user; do [ -n "$user" ] && here[$user]=1 after=(--data-urlencode "after=$user"); done < <(users "$page")
    [[ $page == *'"more":true'* ]] || break
  done
  changes=$(member cursor "$first")
  echo "* $(number count "$first") here: $(printf '%s, ' "${!here[@]}" | sed 's/, $//')"
}

# Those of a list who came, or left: some are told twice.
moved() {
  local what=$1 count=$2 told=() user
  while IFS= read -r user; do
    [ -n "$user" ] || continue
    if [ "$what" = came ]; then
      [ -n "${here[$user]-}" ] || told+=("$user")
      here[$user]=1
    elif [ -n "${here[$user]-}" ]; then
      told+=("$user")
      unset "here[\$user]"
    fi
  done < <(users "$3")
  [ ${#told[@]} = 0 ] || echo "* $(printf '%s, ' "${told[@]}" | sed 's/, $//') $what, $count here"
}

# Shows an event. It fails for the last one.
show() {
  local kind=$1 data=$2 channel from said
  case $kind in
    gap)
      echo "* messages of $(member channel "$data") may be missing: $(member reason "$data")"
      [[ $data != *"\"channel\":\"presence:"* ]] || ask_who_is_here || return 0
      ;;
    disconnect)
      if [[ $data == *'"reconnect":false'* ]]; then
        echo "* stopped: $(member code "$data")"
        return 1
      fi
      ;;
    '')
      channel=$(member channel "$data")
      said=${data#*\"data\":}
      if [ "$channel" = "presence:$room" ]; then
        moved came "$(number users "$said")" "${said%%\"left\":*}"
        moved left "$(number users "$said")" "${said#*\"left\":}"
      else
        from=$(member from "${data%%\"data\":*}")
        [[ $channel == @* ]] && from="$from (to you only)"
        echo "${from:-somebody}: $(plain <<<"${said%\}}")"
      fi
      ;;
  esac
}

# Follows for good. An event's `id:` is the cursor after it, and counts once the event was shown.
follow() {
  local changes cursor='' next='' kind='' data='' line later=1
  until ask_who_is_here; do sleep $((RANDOM % 3 + 1)); kill -0 $$ || return; done
  cursor="presence:$room@$changes"
  # As long as the script is there, however that ends.
  while kill -0 $$; do
    # What is silent for 62 seconds is dead: the gateway pings every 25.
    while IFS= read -r line; do
      case $line in
        'event: '*) kind=${line#event: } ;;
        'id: '*) next=${line#id: } ;;
        'retry: '*) later=$((${line#retry: } / 1000 + 1)) ;;
        'data: '*) data=${line#data: } ;;
        '') show "$kind" "$data" || return; cursor=${next:-$cursor} kind='' data='' ;;
        '{"error"'*) echo "* stopped: $(member message "$line")"; return ;;
      esac
    done < <(exec curl -sSN --connect-timeout 10 --speed-limit 1 --speed-time 62 --get --data-urlencode "user=$name" \
      "$url/v1/sse?channel=$room&channel=presence:$room&channel=@&cursor=$cursor&session=$session")
    kind='' data='' next=''
    sleep "$later.$((RANDOM % 10))"
  done
}

# One key for all tries of a line, so that it is there once.
say() {
  local target="publish?channel=$room" said=$1 to=()
  if [[ $1 =~ ^/msg\ (\"([^\"]+)\"|([^\ ]+))\ +(.+) ]]; then
    target='send?' said=${BASH_REMATCH[4]} to=(--url-query "to=${BASH_REMATCH[2]}${BASH_REMATCH[3]}")
  fi
  curl -sS --max-time 60 --retry 8 --retry-all-errors --retry-max-time 50 --fail-with-body --url-query "user=$name" "${to[@]}" \
    -H 'Content-Type: text/plain' -H "Idempotency-Key: $session-$((key += 1))" --data-binary "$said" \
    "$url/v1/$target" >/dev/null || echo "* not sent: $said"
}

# A process group of its own, so that its curl ends with it.
set -m
follow 2>/dev/null &
set +m
trap 'kill -- -$!' EXIT
key=0
while IFS= read -r line; do
  [ -z "$line" ] || say "$line"
done
