// Package checkpoint owns checkpoints that outlive the node that wrote them: it
// brings the entries of a run's checkpoint directory to a store that has a URL
// (file, s3, azblob, gs) and back, fences attempts off from each other, and keeps
// the newest.
//
// It refuses to know what is in a checkpoint, and to decide when a run moves.
//
// # What is promised
//
// An entry of the directory is complete under its final name: who writes it does
// so under a name that begins with "tmp" or "." and renames it. Its step is the
// last number of its name. An entry is uploaded file by file; it counts from its
// manifest on, which goes last and is never replaced. A gang whose ranks write
// shards on several nodes has a manifest for each node, and the checkpoint counts
// once all of them are there.
//
// An attempt that begins puts up a fence: a list of the checkpoints that it takes
// over. What attempts of earlier epochs write after that is in no list, so no
// reader sees it, and it is removed later. Every attempt writes under its own
// epoch, so that a survivor cannot damage what others wrote either.
//
// A restore compares sizes and SHA-256 of all files. A checkpoint that does not
// match is set aside, and the one before is taken, which is said.
//
// In a store:
//
//	fences/EPOCH.json                      what the attempt took over
//	manifests/EPOCH/NAME/NODE-of-NODES.json  files of a node, with their checksums
//	manifests/EPOCH/NAME/damaged.json      a restore found it damaged, and how
//	data/EPOCH/NAME/NODE/PATH              the files
package checkpoint
