"""What the commands of ``moorage`` are called."""

from __future__ import annotations

# What each command does stands here, so that --help imports none of them.
BUILT_IN = {
    "serve": "Run the registry until it is told to stop.",
    "worker": "Run jobs: collection, retention and the like.",
    "repo": "Look at repositories, make, change, rename, delete and restore them.",
    "tag": "Look at tags and their history, restore, move, expire, protect and delete them.",
    "manifest": "Look at manifests, delete and restore them.",
    "blob": "Tell where a blob is, and what names it.",
    "label": "Look at the labels of manifests, add some, and remove them.",
    "user": "Make users, give them passwords, disable, enable and delete them.",
    "robot": "Make robots, disable, enable and delete them.",
    "team": "Make teams of users and robots, and delete them; put members in, and take them out.",
    "key": "Make API keys of users and robots, rotate and delete them.",
    "policy": "Look at the rules of access, make, change and remove them; keep all of them in a file.",
    "access": "Tell who may do what, and why; and who one is.",
    "token": "Look after the keys that sign tokens.",
    "rule": "Look at house rules, make, change, try and remove them.",
    "retention": "Remove what rules of retention do not keep, and tell before what that is.",
    "gc": "Free what nothing keeps, and tell why the rest is kept.",
    "purge": "Remove a digest from every repository at once, for good.",
    "readonly": "Make the registry read-only while it runs, and end that.",
    "backup": "Copy the database and the blobs to a folder or a bucket; look after such backups.",
    "restore": "Make a registry of a backup.",
    "fsck": "Check what is stored, and mend what can be mended.",
    "events": "Look at what happened, follow it, tell it again, and look after what nobody took.",
    "job": "Look at jobs, run them now, and stop them.",
    "config": "Show and check the settings.",
    "db": "Look after the database's schema.",
    "plugins": "Look at plugins, and what became of each.",
    "version": "Print the version.",
}
