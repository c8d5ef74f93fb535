package v1

// File is a file that a client passes on.
type File struct {
	File    string `json:"file" maxLength:"4096" doc:"its name, for messages"`
	Content string `json:"content"`
}

// FileList is files to put in force.
type FileList struct {
	Files []File `json:"files"`
}

// ContractsInForce is the files of the contracts in force, as they were added.
type ContractsInForce struct {
	Files []File `json:"files"`
	Fault string `json:"fault,omitempty" doc:"why the ledger is not billed under them now"`
}
