# Writes OUT, a C++ file with the texts of FILES (relative to ROOT) for csrc/cuda/source.hpp.
set(text "#include \"cuda/source.hpp\"\n\nnamespace qrnn {\n\nconst std::vector<DeviceFile> device_files = {\n")
foreach(file ${FILES})
  file(READ ${ROOT}/${file} content)
  string(APPEND text "    {\"${file}\", R\"device(${content})device\"},\n")
endforeach()
file(WRITE ${OUT} "${text}};\n\n}  // namespace qrnn\n")
