# NVIDIA's Parakeet-TDT 0.6B v3; put the .nemo file there yourself, or set MODEL to where it is.
MODEL         := models/parakeet-tdt-0.6b-v3.nemo
MODEL_LICENCE := CC-BY-4.0
